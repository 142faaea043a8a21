//! OKEBAYAR's texts to the partner.

pub mod listing;
pub mod pages;
pub mod retention;
