//! Figures for Prometheus over HTTP: `GET /metrics` on `metrics-port`.
//!
//! Invariant: a scrape reads the engine between two steps and changes nothing, so that it is no
//! input and recordings do without it.

mod endpoint;
mod exposition;
mod figures;
mod observed;
mod request;

pub(crate) use endpoint::spawn;
