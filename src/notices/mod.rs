//! Messages for the operator: OKEBAYAR's texts to the partner, and orphan callbacks.
//!
//! | file | kept where | holds |
//! | --- | --- | --- |
//! | [`texts`] | list of notices; notes `notice:<account>:<hash>` and `notices-new:<account>` | OKEBAYAR's texts, the mentions of each, and the new ones of a day |
//! | [`orphans`] | list of orphans; notes `orphan:<account>:<hash>` | callbacks about unknown reference codes, and the status checks of these |
//! | [`keeper`] | - | the task that stores texts, apart from the purchases |
//! | [`pages`] | - | pages of both lists, with positions that survive arrivals and evictions |
//! | `item` | - | the JSON form of all of these |

mod item;
pub mod keeper;
pub mod orphans;
pub mod pages;
pub mod texts;
