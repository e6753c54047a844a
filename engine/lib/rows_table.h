/* SPDX-License-Identifier: Apache-2.0 */
/* Row macros, second pass: the tables.  No guard: included per .def file. */
#define ROW(f, t, lo, hi, ...) \
	{ .name = #f, .type = t, .off = offsetof(self, f), \
	  .since = lo, .until = hi, ##__VA_ARGS__ },
#define VEC(f, t, ct, lo, ...) \
	ROW(f, K_VEC, lo, __VA_ARGS__, .elem = t, .subsize = sizeof(ct))
#define NEST(f, t, s, lo, ...) \
	ROW(f, t, lo, __VA_ARGS__, .sub = s##_rows, \
	    .subsize = sizeof(struct s))
#define STRUCT(n) \
	__attribute__((unused)) static const struct field *n##_rows(void) { \
	typedef struct n self; static const struct field rows[] = {
#define MESSAGE(n, ...)		STRUCT(n)
#define BOOL(f, ...)		ROW(f, K_BOOL, __VA_ARGS__)
#define I8(f, ...)		ROW(f, K_I8, __VA_ARGS__)
#define I16(f, ...)		ROW(f, K_I16, __VA_ARGS__)
#define U16(f, ...)		ROW(f, K_U16, __VA_ARGS__)
#define I32(f, ...)		ROW(f, K_I32, __VA_ARGS__)
#define U32(f, ...)		ROW(f, K_U32, __VA_ARGS__)
#define I64(f, ...)		ROW(f, K_I64, __VA_ARGS__)
#define F64(f, ...)		ROW(f, K_F64, __VA_ARGS__)
#define UUID(f, ...)		ROW(f, K_UUID, __VA_ARGS__)
#define STR(f, ...)		ROW(f, K_STR, __VA_ARGS__)
#define BYTES(f, ...)		ROW(f, K_BYTES, __VA_ARGS__)
#define RECORDS(f, ...)		ROW(f, K_RECORDS, __VA_ARGS__)
#define SUB(f, s, ...)		NEST(f, K_SUB, s, __VA_ARGS__)
#define SUBP(f, s, ...)		NEST(f, K_SUBP, s, __VA_ARGS__)
#define ARR(f, s, ...)		NEST(f, K_ARR, s, __VA_ARGS__)
#define ARR_I8(f, ...)		VEC(f, K_I8, int8_t, __VA_ARGS__)
#define ARR_I32(f, ...)		VEC(f, K_I32, int32_t, __VA_ARGS__)
#define ARR_I64(f, ...)		VEC(f, K_I64, int64_t, __VA_ARGS__)
#define ARR_STR(f, ...)		VEC(f, K_STR, struct kstr, __VA_ARGS__)
#define ARR_UUID(f, ...)	VEC(f, K_UUID, struct uuid, __VA_ARGS__)
#define END			{ .type = K_END } }; return rows; }
