/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options that others must know of: the engine describes them to clients, and
 * says which of them its dynamic configs overrule.
 */
#include <stdio.h>
#include <string.h>

#include "conn.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "options.h"

void
options_tell(struct gw *gw)
{
	struct gateway_conf_req_option o[CONF_OPTS];
	struct gateway_conf_req m = { .options = { 0, o } };
	struct conf_row row[CONF_OPTS];

	for (int i = 0; conf_row(&gw->conf, i, &row[i]); i++) {
		if (!(row[i].where & CONF_G))
			continue;
		/* An address is what it became, port and all. */
		if (i == CONF_OPT_bind_addr && gw->bound != NULL)
			snprintf(row[i].value, sizeof row[i].value, "%s",
			    gw->bound);
		if (i == CONF_OPT_advertised_addr)
			snprintf(row[i].value, sizeof row[i].value,
			    strchr(gw->host, ':') != NULL ? "[%.200s]:%d" :
			    "%.200s:%d", gw->host, gw->port);
		o[m.options.n++] = (struct gateway_conf_req_option){
		    kstr_of(row[i].name), kstr_of(row[i].value),
		    row[i].given };
	}
	up_tell(&gw->up, IPC_GATEWAY_CONF, 0, &m);
}

enum err
options_told(struct gw *gw, struct rd *body)
{
	struct gateway_conf_req m;
	struct arena a;
	enum err e;

	arena_init(&a, ARENA_BASE);
	e = msg_read(&ipc_msgs[IM_gateway_conf_req], VER_ALL, body, &a, &m);
	for (int32_t i = 0; e == E_OK && i < m.options.n; i++)
		if (!conf_change(&gw->conf, m.options.v[i].name,
		    m.options.v[i].value))
			e = E_PROTO;
	arena_reset(&a);
	if (e == E_OK) {
		admit_options(gw);
		if (gw->conns_max > 0 &&
		    gw->conf.max_connections > gw->conns_max)
			gw->conf.max_connections = gw->conns_max;
		log_debug("options of the engine",
		    LI("max_connections", gw->conf.max_connections));
	}
	return e;
}
