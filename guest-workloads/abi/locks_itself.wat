;; Locks a file through one descriptor, and waits for the lock through another that it has opened.
;; Ends: halted.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "crashproof_ext_v0" "fd_flock" (func $fd_flock (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "name")
  (func $lock
    (drop (call $path_open
      (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 1)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 32)))
    (drop (call $fd_flock (i32.load (i32.const 32)) (i32.const 2))))
  (func (export "_start")
    (call $lock)
    (call $lock)))
