;; Sleeps for an hour by `poll_oneoff` and exits with the seconds that the clock says went by.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 200)))
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 3600000000000))
    (drop (call $poll_oneoff (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 150)))
    (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 208)))
    (call $proc_exit (i32.wrap_i64 (i64.div_u
      (i64.sub (i64.load (i32.const 208)) (i64.load (i32.const 200)))
      (i64.const 1000000000))))))
