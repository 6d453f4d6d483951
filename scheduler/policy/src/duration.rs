//! Durations as users write them.

use jiff::SignedDuration;

use crate::fault::Fault;

/// A duration of a field: not negative, and at most `longest`.
///
/// # Errors
/// The mistake of the field.
pub(crate) fn duration(text: &str, field: &str, longest: SignedDuration) -> Result<SignedDuration, Fault> {
    let fault = |message: String| Fault::new(field, message);
    let duration: SignedDuration = text.parse().map_err(|_| {
        fault(format!(
            "`{text}` is no duration: write hours and minutes such as 20m or 1h30m"
        ))
    })?;
    if duration.is_negative() {
        return Err(fault(format!("`{text}` is below zero: write 0s for none")));
    }
    if duration > longest {
        return Err(fault(format!(
            "{duration:#} is longer than {longest:#}: write a shorter one"
        )));
    }
    Ok(duration)
}
