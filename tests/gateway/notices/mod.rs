//! OKEBAYAR's texts to the partner.

pub mod retention;
