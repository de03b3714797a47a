;; Calls itself until the stack is used up.
(module
  (memory (export "memory") 1)
  (func $deeper (export "_start") (call $deeper)))
