//! The parameters of iALS and their ranges.

use thiserror::Error;

/// Parameters as the user gave them; [`Ials::new`](super::Ials::new) checks them.
#[derive(Debug, Clone, PartialEq)]
pub struct IalsSettings {
    /// Length of each user's and item's vector, from 1 to 4096.
    pub factors: usize,
    /// Epochs in all, 1 or more.
    pub epochs: u32,
    /// `lambda`, above 0.
    pub regularisation: f64,
    /// The exponent of the frequency in the regularisation, from 0 to 1; 1 in the paper's runs.
    pub nu: f64,
    /// `a0`, the weight of all pairs, observed or not; above 0.
    pub unobserved_weight: f64,
    /// Initial factors are drawn from N(0, `init_stddev` / sqrt(`factors`)); above 0.
    pub init_stddev: f64,
    pub seed: u64,
}

impl Default for IalsSettings {
    fn default() -> Self {
        Self {
            factors: 64,
            epochs: 16,
            regularisation: 0.003,
            nu: 1.0,
            unobserved_weight: 0.1,
            init_stddev: 0.1,
            seed: 42,
        }
    }
}

/// A parameter of iALS outside of its range.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SettingsError {
    #[error("factors is {0}; it must be from 1 to {MAX_FACTORS}")]
    Factors(usize),
    #[error("epochs is 0; it must be 1 or more")]
    NoEpochs,
    #[error("{name} is {value}; it must be a number above 0 and at most {MAX_WEIGHT}")]
    NotPositive { name: &'static str, value: f64 },
    #[error("nu is {0}; it must be from 0 (plain L2) to 1 (scaled by frequency)")]
    Nu(f64),
}

/// One user's system of equations then takes 64 MiB.
const MAX_FACTORS: usize = 4096;
/// Far above any sensible parameter, and far below what would overflow single precision.
const MAX_WEIGHT: f64 = 1e9;

impl IalsSettings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if !(1..=MAX_FACTORS).contains(&self.factors) {
            return Err(SettingsError::Factors(self.factors));
        }
        if self.epochs == 0 {
            return Err(SettingsError::NoEpochs);
        }
        for (name, value) in [
            ("regularisation", self.regularisation),
            ("unobserved_weight", self.unobserved_weight),
            ("init_stddev", self.init_stddev),
        ] {
            if !(value > 0.0 && value <= MAX_WEIGHT) {
                return Err(SettingsError::NotPositive { name, value });
            }
        }
        if !(0.0..=1.0).contains(&self.nu) {
            return Err(SettingsError::Nu(self.nu));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(IalsSettings::default().check(), Ok(()));
    }

    #[test]
    fn every_range_is_checked() {
        let refused = |change: fn(&mut IalsSettings)| {
            let mut settings = IalsSettings::default();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        assert_eq!(refused(|s| s.factors = 0), "factors is 0; it must be from 1 to 4096");
        assert_eq!(refused(|s| s.factors = 5000), "factors is 5000; it must be from 1 to 4096");
        assert_eq!(refused(|s| s.epochs = 0), "epochs is 0; it must be 1 or more");
        assert_eq!(
            refused(|s| s.regularisation = 0.0),
            "regularisation is 0; it must be a number above 0 and at most 1000000000"
        );
        assert!(refused(|s| s.unobserved_weight = f64::NAN).starts_with("unobserved_weight is NaN"));
        assert!(refused(|s| s.init_stddev = f64::INFINITY).starts_with("init_stddev is inf"));
        assert!(refused(|s| s.nu = 1.5).starts_with("nu is 1.5"));
    }
}
