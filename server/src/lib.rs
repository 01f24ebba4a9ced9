//! Orrery as a production RESP server.
