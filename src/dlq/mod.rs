//! Dead letters: which streams hold them, what each letter says of its failure, how deep they lie, and which
//! of them may go back. Pure: no clock, no I/O.
//!
//! ```text
//! Survey ---> Board (streams found, five numbers, windows) ---> DlqStream views
//! headers --> classify --> Letter --> breakdown           \-> what to read, whose age to ask
//!                            +------> Selection, judge --> rewrite (headers of the copy), Settled (what is done)
//! ```
//!
//! Families of headers are a table ([`classify`]); names of streams are a table of conventions ([`name_class`]).

mod board;
mod breakdown;
mod classify;
mod find;
mod mask;
mod number;
mod redrive;
mod select;
mod settled;
mod tracked;

pub use board::{Board, MarkerWish, ReadWish, Rules, own_group};
pub use breakdown::{Looked, NEWEST};
pub use classify::{Header, Letter, Origin, classify, is_error_header};
pub use find::{NameClass, OWN_PREFIX, name_class, retry_candidates, source_guess};
pub use mask::Mask;
pub use number::{number, text};
pub use redrive::{Redriven, Skip, Target, Verdict, choose_target, judge, rewrite};
pub use select::{OffsetRange, Selection};
pub use settled::{CHUNK, Fate, Settled, marker_stream};
