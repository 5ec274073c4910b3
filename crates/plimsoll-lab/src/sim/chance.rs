//! Chance from a seed: xoshiro256++ (Blackman and Vigna, "Scrambled Linear
//! Pseudorandom Number Generators", 2021), seeded by splitmix64.
//!
//! A generator of our own because the stream must never change with a
//! dependency's version: results are compared across years.

/// One stream of draws.
#[derive(Clone, Debug)]
pub struct Chance {
    state: [u64; 4],
    spare: Option<f64>,
}

impl Chance {
    /// The stream number `stream` of a run's seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut mixed = seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95);
        let state = core::array::from_fn(|_| {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = mixed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Self { state, spare: None }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let t = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= t;
        *d = d.rotate_left(45);
        result
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in 0..n; 0 if n is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u32
    }

    /// Standard normal (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sin, cos) = (core::f64::consts::TAU * self.unit()).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }

    /// Log-normal of mean 1.
    pub fn factor(&mut self, sigma: f64) -> f64 {
        if sigma == 0.0 { 1.0 } else { (sigma * self.normal() - sigma * sigma / 2.0).exp() }
    }

    /// Pareto with that least value and shape.
    pub fn pareto(&mut self, scale: f64, alpha: f64) -> f64 {
        scale / (1.0 - self.unit()).powf(1.0 / alpha)
    }
}
