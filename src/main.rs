//! postcall.
fn main() {}
