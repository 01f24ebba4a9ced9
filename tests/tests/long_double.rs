//! INCRBYFLOAT's arithmetic against a real redis-server on a machine whose `long double` has 80 bits.

use orrery_engine::Seed;
use orrery_engine::rng::Rng;
use orrery_engine::value::extended::Extended;
use orrery_tests::real_redis::RealRedis;
use orrery_tests::resp_value::{Value, encode};

const PAIRS: usize = 8000;
const PAIRS_PER_PIPELINE: usize = 100;

fn digits(rng: &mut Rng, most: u64) -> String {
    (0..1 + rng.below(most)).map(|_| char::from(b'0' + rng.below(10) as u8)).collect()
}

/// A float in some spelling: short and long, with and without exponent, at the ends of the range and
/// where 64 bits are not enough; rarely none.
fn float(rng: &mut Rng) -> String {
    let sign = ["", "", "-", "+"][rng.below(4) as usize];
    let text = match rng.below(14) {
        // Mantissas with a bit at either end, so far apart that a sum is near a tie.
        12 | 13 => {
            let exponents = [0, 0, 1, -62, -63, -64, -65, -66, -127, -128, -129];
            let mantissa = (1 << 63 | rng.below(3)) ^ [0, u64::MAX >> 1][rng.below(2) as usize];
            format!("0x{mantissa:x}p{}", exponents[rng.below(11) as usize])
        }
        0..=2 => digits(rng, 3) + "." + &digits(rng, 3),
        3 => digits(rng, 22),
        4 => digits(rng, 20) + "." + &digits(rng, 25),
        5 => format!("{}e{}", digits(rng, 20), rng.below(60) as i64 - 30),
        6 => format!("{}.{}e{}", digits(rng, 2), digits(rng, 20), rng.below(9960) as i64 - 4990),
        7 => format!("0x{:x}.{:x}p{}", rng.next_u64(), rng.next_u64(), rng.below(80) as i64 - 40),
        8 => format!("0x{:x}p{}", rng.next_u64(), rng.below(32_900) as i64 - 16_500),
        // Halves of the last of 64 bits: ties.
        9 => format!("{}.5", (1_u64 << 63) + rng.below(1000)),
        10 => format!("{}e-{}", digits(rng, 19), 4930 + rng.below(40)),
        _ => ["inf", "nan", "0", "1e", "x", "0x", ".", "1.e1", "infinity"][rng.below(9) as usize]
            .to_owned(),
    };
    format!("{sign}{text}")
}

/// What Redis answers to INCRBYFLOAT.
fn expected(a: &str, b: &str) -> Value {
    let (Some(a), Some(b)) = (Extended::parse(a.as_bytes()), Extended::parse(b.as_bytes())) else {
        return Value::error("ERR value is not a valid float");
    };
    let sum = a.add(b);
    if !sum.is_finite() {
        return Value::error("ERR increment would produce NaN or Infinity");
    }
    Value::bulk(sum.format())
}

#[test]
fn sums_have_the_digits_of_redis() {
    let Some(redis) = RealRedis::start("long double") else { return };
    let mut client = redis.connect();
    client.call(&["SET", "f", "1e17"]);
    let probe = client.call(&["INCRBYFLOAT", "f", "0.3"]);
    if probe != Value::bulk("100000000000000000.296875") {
        // Another `long double`: nothing to compare with.
        use std::io::Write;
        std::io::stderr()
            .write_all(b"SKIPPED long double: this machine's has not 80 bits\n")
            .expect("stderr takes a line");
        return;
    }
    let mut rng = Rng::new(Seed(7), "floats");
    for _ in 0..PAIRS / PAIRS_PER_PIPELINE {
        let pairs: Vec<(String, String)> =
            (0..PAIRS_PER_PIPELINE).map(|_| (float(&mut rng), float(&mut rng))).collect();
        let mut bytes = Vec::new();
        for (a, b) in &pairs {
            bytes.extend(encode(&["SET", "f", a]));
            bytes.extend(encode(&["INCRBYFLOAT", "f", b]));
        }
        client.send(&bytes);
        for (a, b) in &pairs {
            assert_eq!(client.read(), Value::simple("OK"));
            assert_eq!(client.read(), expected(a, b), "{a} + {b}");
        }
    }
}
