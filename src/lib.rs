//! postcall.
