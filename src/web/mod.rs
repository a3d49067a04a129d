//! Floor 4: endpoints for browsers and clients. Each parses, calls one service and renders.

pub mod pages;
