//! The laws of the architecture and of the style, each as a search for breaches.
//!
//! A law that the code does not keep everywhere yet has a constant `MAX_…`, the number of breaches that are
//! left. It may only become smaller.

mod code;
mod layers;
mod source;
mod words;

/// Fails if there are more than `max` breaches, and shows them with the remedy.
fn assert_at_most(max: usize, breaches: &[String], remedy: &str) {
    assert!(
        breaches.len() <= max,
        "{} breaches, at most {max} are allowed; {remedy}:\n{}",
        breaches.len(),
        breaches.join("\n")
    );
}

/// Fails if there is a breach, and shows all with the remedy.
fn assert_none(breaches: &[String], remedy: &str) {
    assert_at_most(0, breaches, remedy);
}
