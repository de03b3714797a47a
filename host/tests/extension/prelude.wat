  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "crashproof_ext_v0" "path_rename2"
    (func $path_rename2 (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "crashproof_ext_v0" "fd_link" (func $fd_link (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "abc.x")

  ;; Ends with this code unless both are equal.
  (func $same (param $code i32) (param $a i32) (param $b i32)
    (if (i32.ne (local.get $a) (local.get $b)) (then (call $exit (local.get $code)))))

  ;; Makes a file whose name has one letter.
  (func $make (param $name i32) (result i32)
    (call $path_open (i32.const 3) (i32.const 0) (local.get $name) (i32.const 1) (i32.const 5)
      (i64.const 0x0fffffff) (i64.const 0) (i32.const 0) (i32.const 24)))

  (func $rename2 (param $from i32) (param $to i32) (param $flags i32) (result i32)
    (call $path_rename2 (i32.const 3) (local.get $from) (i32.const 1)
      (i32.const 3) (local.get $to) (i32.const 1) (local.get $flags)))

  ;; Opens a file without a name; its descriptor is at 24.
  (func $unnamed (param $at i32) (param $flags i32) (param $rights i64) (result i32)
    (call $path_open (i32.const 3) (i32.const 0) (local.get $at) (i32.const 1) (local.get $flags)
      (local.get $rights) (i64.const 0) (i32.const 0x400) (i32.const 24)))

  (func $link (param $name i32) (result i32)
    (call $fd_link (i32.load (i32.const 24)) (i32.const 3) (local.get $name) (i32.const 1)))
