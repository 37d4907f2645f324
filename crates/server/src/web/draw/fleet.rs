//! The fleet map: one cell per monitor, one block per group. Cells that are up are one path per block, the others
//! are drawn over it, so that it costs what the trouble costs, not what the fleet is.

use std::fmt::Write;

use maud::{Markup, html};

use crate::live::Shown;
use crate::web::{links, parts, words};

/// A block is this many cells high.
const ROWS: usize = 7;
/// From one cell to the next, the cut included.
const STEP: usize = 6;
const CELL: usize = 5;
/// A block has so many cells at most; in a larger group each cell stands for several neighbours.
const MOST_CELLS: usize = 18 * ROWS;

pub(crate) struct Block<'a> {
    pub group: &'a str,
    pub cells: Vec<Shown>,
}

pub(crate) fn fleet(blocks: &[Block<'_>]) -> Markup {
    // From twenty groups on, calm ones are told in one word.
    let calm_ones: Vec<&Block<'_>> =
        if blocks.len() >= 20 { blocks.iter().filter(|block| worst(block).is_none()).collect() } else { Vec::new() };
    html! {
        section.fleet #fleet aria-label="All monitors by group" {
            ul {
                @for block in blocks {
                    @if calm_ones.is_empty() || worst(block).is_some() { li { (site(block)) } }
                }
            }
            @if !calm_ones.is_empty() {
                p.hint {
                    (words::counted(calm_ones.len(), "calm group", "calm groups")) ", "
                    (words::counted(calm_ones.iter().map(|block| block.cells.len()).sum(), "monitor", "monitors"))
                }
            }
        }
    }
}

fn site(block: &Block<'_>) -> Markup {
    let worst = worst(block);
    let (cells, each) = shared(&block.cells);
    let columns = cells.len().div_ceil(ROWS).max(1);
    let (width, height) = (columns * STEP + 3, ROWS * STEP + 3);
    html! {
        a.site.bad[worst.is_some()] href=(links::filtered(&format!("group:\"{}\"", block.group)))
            title=[(each > 1).then(|| format!("{}, {each} to a cell", words::counted(block.cells.len(), "monitor", "monitors")))] {
            span.t {
                b.clip { (block.group) }
                @match worst {
                    Some((shown, count)) => span class={ (shown.class()) "-t" } {
                        (parts::small_glyph(shown.class())) (count) span.sr { " " (shown.word()) }
                    },
                    None => span.i3 { (words::count(block.cells.len() as u64)) },
                }
            }
            svg viewBox={ "-2 -2 " (width) " " (height) } width=(width) height=(height) aria-hidden="true" {
                path.u d=(ground(cells.len(), columns)) {}
                @for (index, shown) in cells.iter().enumerate() {
                    (mark(index % columns * STEP, index / columns * STEP, *shown))
                }
            }
        }
    }
}

/// At most [`MOST_CELLS`] cells, each the worst of so many neighbours. One that is up hides those that rest beside it.
fn shared(all: &[Shown]) -> (Vec<Shown>, usize) {
    let each = all.len().div_ceil(MOST_CELLS).max(1);
    let of = |neighbours: &[Shown]| {
        let worst = neighbours.iter().copied().min().unwrap_or(Shown::Up);
        if worst > Shown::Unknown && neighbours.contains(&Shown::Up) { Shown::Up } else { worst }
    };
    (all.chunks(each).map(of).collect(), each)
}

/// The worst state of a block that needs somebody, and how many have it.
fn worst(block: &Block<'_>) -> Option<(Shown, usize)> {
    [Shown::Down, Shown::Degraded, Shown::Unknown].into_iter().find_map(|shown| {
        let count = block.cells.iter().filter(|cell| **cell == shown).count();
        (count > 0).then_some((shown, count))
    })
}

/// All cells as if they were up, a line for each row.
fn ground(cells: usize, columns: usize) -> String {
    let mut path = String::new();
    for row in 0..cells.div_ceil(columns) {
        let inside = columns.min(cells - row * columns);
        // Writing to a string does not fail.
        let _ = write!(path, "M0 {}.5h{}", row * STEP + CELL / 2, inside * STEP - 1);
    }
    path
}

fn mark(x: usize, y: usize, shown: Shown) -> Markup {
    let (left, top) = (x as f64, y as f64);
    html! {
        @match shown {
            Shown::Up => {},
            Shown::Down => rect.f-down x=(left - 1.0) y=(top - 1.0) width="7" height="7" {},
            Shown::Degraded => path.f-degraded d={ "M" (left - 1.5) " " (top + 6.0) "h8l-4-7.5z" } {},
            Shown::Unknown => {
                rect.hole x=(left - 0.5) y=(top - 0.5) width="6" height="6" {}
                rect.ring x=(left + 0.5) y=(top + 0.5) width="4" height="4" {}
            },
            Shown::Paused | Shown::Pending => {
                rect.hole x=(left - 0.5) y=(top - 0.5) width="6" height="6" {}
                rect.f-paused x=(left + 1.5) y=(top + 1.5) width="2" height="2" {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calm_block_is_one_path() {
        let block = Block { group: "Northfield", cells: vec![Shown::Up; 125] };
        let drawn = site(&block).into_string();
        assert_eq!(drawn.matches("<path").count(), 1);
        assert_eq!(drawn.matches("<rect").count(), 0);
        assert!(drawn.contains("M0 2.5h107M0 8.5h107") && drawn.contains("M0 38.5h101"), "{drawn}");
    }

    #[test]
    fn a_large_group_shares_its_cells_and_one_outage_is_seen() {
        let mut all = vec![Shown::Up; 1000];
        all[500] = Shown::Down;
        all[0] = Shown::Paused;
        let (cells, each) = shared(&all);
        assert_eq!((cells.len(), each, cells[0], cells[62]), (125, 8, Shown::Up, Shown::Down));
    }

    #[test]
    fn trouble_is_drawn_over_it_and_counted() {
        let mut cells = vec![Shown::Up; 20];
        cells[3] = Shown::Down;
        cells[4] = Shown::Paused;
        let drawn = site(&Block { group: "Birch Hill", cells }).into_string();
        assert!(drawn.contains("site bad") && drawn.contains("f-down"), "{drawn}");
        assert!(drawn.contains("</svg>1<span"), "{drawn}");
    }
}
