/* SPDX-License-Identifier: Apache-2.0 */
/* Row macros, first pass: the structs.  No guard: included per .def file. */
#define STRUCT(n)		struct n {
#define MESSAGE(n, ...)		struct n {
#define BOOL(f, ...)		bool f;
#define I8(f, ...)		int8_t f;
#define I16(f, ...)		int16_t f;
#define U16(f, ...)		uint16_t f;
#define I32(f, ...)		int32_t f;
#define U32(f, ...)		uint32_t f;
#define I64(f, ...)		int64_t f;
#define F64(f, ...)		double f;
#define UUID(f, ...)		struct uuid f;
#define STR(f, ...)		struct kstr f;
#define BYTES(f, ...)		struct kbytes f;
#define RECORDS(f, ...)		struct kbytes f;
#define SUB(f, s, ...)		struct s f;
#define SUBP(f, s, ...)		struct s *f;
#define ARR(f, s, ...)		struct { int32_t n; struct s *v; } f;
#define ARR_I8(f, ...)		struct { int32_t n; int8_t *v; } f;
#define ARR_I32(f, ...)		struct { int32_t n; int32_t *v; } f;
#define ARR_I64(f, ...)		struct { int32_t n; int64_t *v; } f;
#define ARR_STR(f, ...)		struct { int32_t n; struct kstr *v; } f;
#define ARR_UUID(f, ...)	struct { int32_t n; struct uuid *v; } f;
#define END			};
