//! Prints the CustomResourceDefinition of `RebootPolicy` as JSON, for `cargo xtask crd`.
#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

fn main() {
    println!("{:#}", bellwether_policy::crd::definition());
}
