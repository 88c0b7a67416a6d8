//! A server of a few pages for readers on this machine. Requests have no bodies, connections one answer each, and everything that
//! a client can make it hold has a bound.
//!
//! | file | what it is |
//! | --- | --- |
//! | `request` | from the bytes of a request to what is asked for |
//! | `host` | whether the name that was asked is this server's |
//! | `server` | connections |
//!
//! It may not know what the pages are.

pub mod host;
pub mod request;
pub mod server;
