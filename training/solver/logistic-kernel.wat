;; The two inner loops of logistic regression on a block of dense float32 rows, four rows at a time so
;; that the weights (in `dots`) and the gradient (in `accumulate`) are loaded once for four rows.
;; Rows lie `stride` bytes apart, a multiple of 16, and `rows` is a multiple of 4.
(module
  (memory (export "memory") 1)

  ;; z[i] = x[i] . w
  (func (export "dots") (param $x i32) (param $stride i32) (param $rows i32) (param $w i32) (param $z i32)
    (local $end i32) (local $j i32) (local $x1 i32) (local $x2 i32) (local $x3 i32)
    (local $v v128) (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $z) (i32.shl (local.get $rows) (i32.const 2))))
    (loop $next
      (local.set $x1 (i32.add (local.get $x) (local.get $stride)))
      (local.set $x2 (i32.add (local.get $x1) (local.get $stride)))
      (local.set $x3 (i32.add (local.get $x2) (local.get $stride)))
      (local.set $a (v128.const f32x4 0 0 0 0))
      (local.set $b (v128.const f32x4 0 0 0 0))
      (local.set $c (v128.const f32x4 0 0 0 0))
      (local.set $d (v128.const f32x4 0 0 0 0))
      (local.set $j (i32.const 0))
      (loop $column
        (local.set $v (v128.load (i32.add (local.get $w) (local.get $j))))
        (local.set $a (f32x4.add (local.get $a)
          (f32x4.mul (local.get $v) (v128.load (i32.add (local.get $x) (local.get $j))))))
        (local.set $b (f32x4.add (local.get $b)
          (f32x4.mul (local.get $v) (v128.load (i32.add (local.get $x1) (local.get $j))))))
        (local.set $c (f32x4.add (local.get $c)
          (f32x4.mul (local.get $v) (v128.load (i32.add (local.get $x2) (local.get $j))))))
        (local.set $d (f32x4.add (local.get $d)
          (f32x4.mul (local.get $v) (v128.load (i32.add (local.get $x3) (local.get $j))))))
        (br_if $column (i32.lt_u
          (local.tee $j (i32.add (local.get $j) (i32.const 16)))
          (local.get $stride))))
      (f32.store (local.get $z) (call $sum (local.get $a)))
      (f32.store offset=4 (local.get $z) (call $sum (local.get $b)))
      (f32.store offset=8 (local.get $z) (call $sum (local.get $c)))
      (f32.store offset=12 (local.get $z) (call $sum (local.get $d)))
      (local.set $x (i32.add (local.get $x3) (local.get $stride)))
      (br_if $next (i32.lt_u
        (local.tee $z (i32.add (local.get $z) (i32.const 16)))
        (local.get $end)))))

  ;; g += sum over rows of r[i] x[i]
  (func (export "accumulate") (param $x i32) (param $stride i32) (param $rows i32) (param $r i32) (param $g i32)
    (local $end i32) (local $j i32) (local $x1 i32) (local $x2 i32) (local $x3 i32) (local $to i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $r) (i32.shl (local.get $rows) (i32.const 2))))
    (loop $next
      (local.set $x1 (i32.add (local.get $x) (local.get $stride)))
      (local.set $x2 (i32.add (local.get $x1) (local.get $stride)))
      (local.set $x3 (i32.add (local.get $x2) (local.get $stride)))
      (local.set $a (v128.load32_splat (local.get $r)))
      (local.set $b (v128.load32_splat offset=4 (local.get $r)))
      (local.set $c (v128.load32_splat offset=8 (local.get $r)))
      (local.set $d (v128.load32_splat offset=12 (local.get $r)))
      (local.set $j (i32.const 0))
      (loop $column
        (local.set $to (i32.add (local.get $g) (local.get $j)))
        (v128.store (local.get $to)
          (f32x4.add (v128.load (local.get $to))
            (f32x4.add
              (f32x4.add
                (f32x4.mul (local.get $a) (v128.load (i32.add (local.get $x) (local.get $j))))
                (f32x4.mul (local.get $b) (v128.load (i32.add (local.get $x1) (local.get $j)))))
              (f32x4.add
                (f32x4.mul (local.get $c) (v128.load (i32.add (local.get $x2) (local.get $j))))
                (f32x4.mul (local.get $d) (v128.load (i32.add (local.get $x3) (local.get $j))))))))
        (br_if $column (i32.lt_u
          (local.tee $j (i32.add (local.get $j) (i32.const 16)))
          (local.get $stride))))
      (local.set $x (i32.add (local.get $x3) (local.get $stride)))
      (br_if $next (i32.lt_u
        (local.tee $r (i32.add (local.get $r) (i32.const 16)))
        (local.get $end)))))

  (func $sum (param $v v128) (result f32)
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $v)) (f32x4.extract_lane 1 (local.get $v)))
      (f32.add (f32x4.extract_lane 2 (local.get $v)) (f32x4.extract_lane 3 (local.get $v))))))
