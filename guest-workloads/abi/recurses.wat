;; Calls itself until the stack is used up.
;; Ends: overflowed its stack.
(module
  (memory (export "memory") 1)
  (func $deeper (export "_start") (call $deeper)))
