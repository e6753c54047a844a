# SPDX-License-Identifier: Apache-2.0
"""Samples (see samples.py) of the apis about who a client is."""
from kafka import eq, fresh_name, ok

SCOPE = [("SaslHandshake", 0, 1), ("SaslAuthenticate", 0, 2),
         ("DescribeUserScramCredentials", 0, 0),
         ("AlterUserScramCredentials", 0, 0),
         ("DescribeClientQuotas", 0, 1), ("AlterClientQuotas", 0, 1)]


class IdentitySamples:
    # SASL, of a listener that asks nobody to authenticate

    def make_saslhandshake(self):
        self.body = {"mechanism": "PLAIN"}

    def check_saslhandshake(self, r):
        eq(r["error_code"], 34, "error")

    def make_saslauthenticate(self):
        self.body = {"auth_bytes": b"\0user\0password"}

    def check_saslauthenticate(self, r):
        eq(r["error_code"], 34, "error")
        ok(r["error_message"], "a message")

    # Users

    def make_describeuserscramcredentials(self):
        self.user = fresh_name("nobody")
        self.body = {"users": [{"name": self.user}]}

    def check_describeuserscramcredentials(self, r):
        eq(r["error_code"], 0, "error")
        eq([(x["user"], x["error_code"]) for x in r["results"]],
           [(self.user, 91)], "results")

    def make_alteruserscramcredentials(self):
        self.user = fresh_name("user")
        self.body = {"deletions": [], "upsertions": [{
            "name": self.user, "mechanism": 1, "iterations": 4096,
            "salt": b"salt", "salted_password": b"x" * 32}]}

    def check_alteruserscramcredentials(self, r):
        eq([(x["user"], x["error_code"], x["error_message"])
            for x in r["results"]], [(self.user, 0, None)], "results")

    # Quotas

    def make_describeclientquotas(self):
        self.body = {"components": [{"entity_type": "user", "match_type": 0,
                                     "match": fresh_name("nobody")}],
                     "strict": True}

    def check_describeclientquotas(self, r):
        eq((r["error_code"], r["error_message"], r["entries"]),
           (0, None, []), "answer")

    def make_alterclientquotas(self):
        self.entity = [{"entity_type": "client-id",
                        "entity_name": fresh_name("client")}]
        self.body = {"validate_only": True, "entries": [{
            "entity": self.entity, "ops": [
                {"key": "producer_byte_rate", "value": 1e6,
                 "remove": False}]}]}

    def check_alterclientquotas(self, r):
        eq([(x["error_code"], x["error_message"], x["entity"])
            for x in r["entries"]], [(0, None, self.entity)], "entries")
