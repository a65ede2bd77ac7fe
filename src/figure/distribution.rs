//! Very many points in few numbers.

use super::{FiveNumbers, Point};

/// The values in order, without those that are no numbers.
pub fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    values
}

/// The quantile `p` of 0 to 1 of sorted values, interpolated between neighbours.
pub fn quantile(values: &[f64], p: f64) -> Option<f64> {
    let position = p * values.len().checked_sub(1)? as f64;
    let low = *values.get(position.floor() as usize)?;
    let high = *values.get(position.ceil() as usize)?;
    Some(low + (high - low) * position.fract())
}

/// Points ordered by `x` as percentiles of neighbours.
pub fn condense(points: &[Point]) -> Vec<FiveNumbers> {
    const GROUPS: usize = 100;
    let size = points.len().div_ceil(GROUPS).max(1);
    let of = |group: &[Point]| {
        let x = (group.first()?.x + group.last()?.x) / 2.0;
        FiveNumbers::of(x, group.iter().map(|point| point.y).collect())
    };
    points.chunks(size).filter_map(of).collect()
}
