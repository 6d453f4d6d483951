//! Lists of names that more than one part uses, each with a constant of its own.

/// Makes a constant of each name, and `ALL` of them, for the tests that compare a page or a manifest with the list.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        $($(#[$doc])* pub const $name: &str = $text;)+

        /// Every name that is here.
        pub const ALL: &[&str] = &[$($name,)+];
    };
}
