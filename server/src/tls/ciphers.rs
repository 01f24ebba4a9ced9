//! `tls-ciphers` and `tls-ciphersuites`: OpenSSL's names and lists for the suites that there are.
//!
//! Invariant: as in OpenSSL, a word that names no suite is passed over; a list that names none at
//! all is an error of whoever needs one.

use tokio_rustls::rustls::SupportedCipherSuite;
use tokio_rustls::rustls::crypto::ring::cipher_suite::*;

/// A suite of TLS 1.2, its name in OpenSSL, and the words that mean a group of suites with it.
struct Suite {
    suite: SupportedCipherSuite,
    name: &'static str,
    words: &'static [&'static str],
    key_bits: u32,
}

const fn suite(
    suite: SupportedCipherSuite,
    name: &'static str,
    words: &'static [&'static str],
    key_bits: u32,
) -> Suite {
    Suite { suite, name, words, key_bits }
}

/// In the order of OpenSSL's default list.
static TLS12: [Suite; 6] = [
    suite(
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        &["ECDSA", "aECDSA", "AES", "AES256", "AESGCM"],
        256,
    ),
    suite(
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
        &["aRSA", "AES", "AES256", "AESGCM"],
        256,
    ),
    suite(
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        &["ECDSA", "aECDSA", "CHACHA20"],
        256,
    ),
    suite(
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
        &["aRSA", "CHACHA20"],
        256,
    ),
    suite(
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        &["ECDSA", "aECDSA", "AES", "AES128", "AESGCM"],
        128,
    ),
    suite(
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
        &["aRSA", "AES", "AES128", "AESGCM"],
        128,
    ),
];

/// The words that mean all of [`TLS12`].
const ALL: [&str; 9] =
    ["ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH", "TLSv1.2", "AEAD"];

static TLS13: [(SupportedCipherSuite, &str); 3] = [
    (TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
    (TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256"),
    (TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"),
];

impl Suite {
    /// Whether a word means this suite: a name, a group, or groups joined by `+`.
    fn is_meant_by(&self, word: &str) -> bool {
        word.split('+')
            .all(|part| self.name == part || ALL.contains(&part) || self.words.contains(&part))
    }
}

/// The suites of TLS 1.2 that a list in OpenSSL's language means, in its order.
pub(super) fn tls12(list: &str) -> Vec<SupportedCipherSuite> {
    let mut chosen: Vec<&Suite> = Vec::new();
    let mut banned: Vec<&str> = Vec::new();
    for word in list.split([':', ',', ' ']).filter(|word| !word.is_empty()) {
        let (sign, word) = match word.split_at_checked(1) {
            Some((sign @ ("!" | "-" | "+" | "@"), rest)) => (sign, rest),
            _ => ("", word),
        };
        let meant = || TLS12.iter().filter(|suite| suite.is_meant_by(word));
        match sign {
            "!" => {
                banned.extend(meant().map(|suite| suite.name));
                chosen.retain(|suite| !suite.is_meant_by(word));
            }
            "-" => chosen.retain(|suite| !suite.is_meant_by(word)),
            // Moves to the end.
            "+" => chosen.sort_by_key(|suite| suite.is_meant_by(word)),
            "@" if word == "STRENGTH" => chosen.sort_by_key(|suite| u32::MAX - suite.key_bits),
            "@" => {}
            _ => {
                for suite in meant() {
                    let known = chosen.iter().any(|other| other.name == suite.name);
                    if !known && !banned.contains(&suite.name) {
                        chosen.push(suite);
                    }
                }
            }
        }
    }
    chosen.into_iter().map(|suite| suite.suite).collect()
}

/// The suites of TLS 1.3 that a list of names means, in its order.
pub(super) fn tls13(list: &str) -> Vec<SupportedCipherSuite> {
    let named = |word: &str| TLS13.iter().find(|(_, name)| *name == word);
    list.split([':', ',', ' ']).filter_map(named).map(|&(suite, _)| suite).collect()
}

/// All suites of TLS 1.2.
pub(super) fn all_tls12() -> Vec<SupportedCipherSuite> {
    TLS12.iter().map(|suite| suite.suite).collect()
}

/// All suites of TLS 1.3.
pub(super) fn all_tls13() -> Vec<SupportedCipherSuite> {
    TLS13.iter().map(|&(suite, _)| suite).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, expected: &[SupportedCipherSuite]) {
        assert_eq!(tls12(list), expected, "{list}");
    }

    #[test]
    fn lists_mean_what_they_mean_to_openssl() {
        check("ECDHE-RSA-AES128-GCM-SHA256", &[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]);
        check("nonsense:AES128-SHA:RSA:kRSA", &[]);
        check("", &[]);
        check("DEFAULT", &all_tls12());
        check("DEFAULT:!MEDIUM", &all_tls12());
        check("ALL:!ALL:DEFAULT", &[]);
        check(
            "AES128+aRSA,ECDHE+CHACHA20:-ECDSA",
            &[TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256],
        );
        check(
            "aRSA:+AES256:@SECLEVEL=1",
            &[
                TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            ],
        );
        check(
            "AES128+ECDSA:AES256+ECDSA:@STRENGTH",
            &[TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256],
        );
    }

    #[test]
    fn suites_of_tls_1_3_are_named_one_by_one() {
        let list = "TLS_AES_128_GCM_SHA256:nonsense:TLS_AES_256_GCM_SHA384";
        assert_eq!(tls13(list), [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384]);
        assert_eq!(tls13("ALL"), []);
    }
}
