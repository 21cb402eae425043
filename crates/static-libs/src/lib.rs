//! What the Lambda binary would otherwise load from shared libraries at every start: the unwinder, for which Rust
//! takes `libgcc_s`, and `pow`, the one function that it needs of `libm`. Mapping each takes a twentieth of the
//! time to the first poll (docs/performance.md); GCC's static unwinder is no way out, because that of GCC 12 asks for
//! a newer C library than Lambda has.
//!
//! A binary takes both by naming this crate. Only on Linux: elsewhere there is nothing to win.

#[cfg(target_os = "linux")]
use unwinding as _;

/// `pow` of C (C17, 7.12.7.4), under the name by which the linker looks for it.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the name is C's, and so are signature and meaning; nothing else here defines it"
)]
#[unsafe(no_mangle)]
pub extern "C" fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        panic::catch_unwind,
        sync::atomic::{AtomicU32, Ordering},
    };

    /// Expected values: exact powers, and annex F.10.4.4 of the C standard.
    #[test]
    fn powers_are_those_of_c() {
        let cases = [
            (2.0, 10.0, 1024.0),
            (2.0, 0.5, std::f64::consts::SQRT_2),
            (10.0, -3.0, 0.001),
            (-2.0, 3.0, -8.0),
            (0.0, 3.0, 0.0),
            (0.0, -2.0, f64::INFINITY),
            (-1.0, f64::INFINITY, 1.0),
            (1.0, f64::NAN, 1.0),
            (f64::NAN, 0.0, 1.0),
            (0.5, f64::INFINITY, 0.0),
            (f64::NEG_INFINITY, -3.0, -0.0),
        ];
        for (x, y, expected) in cases {
            assert_eq!(super::pow(x, y).to_bits(), f64::to_bits(expected), "{x} ** {y}");
        }
        assert!(super::pow(-2.0, 0.5).is_nan());
    }

    /// Every frame's values are dropped on the way, and the panic arrives with what it carried.
    #[test]
    fn a_panic_unwinds() {
        static DROPPED: AtomicU32 = AtomicU32::new(0);
        struct Counted;
        impl Drop for Counted {
            fn drop(&mut self) {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        }
        fn fall(depth: u32) -> u32 {
            let _counted = Counted;
            if depth == 0 {
                std::panic::panic_any("the ground");
            }
            fall(depth - 1) + 1
        }
        let caught = catch_unwind(|| fall(19)).unwrap_err();
        assert_eq!(caught.downcast_ref::<&str>(), Some(&"the ground"));
        assert_eq!(DROPPED.load(Ordering::Relaxed), 20);
    }
}
