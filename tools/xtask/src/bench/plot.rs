// SPDX-License-Identifier: MIT
//! The table as bar charts: one SVG file for each unit, with a row for each figure, a
//! bar of stock and one of ours, and a mark at the goal. Times and counts, which differ
//! widely, are on a logarithmic scale.

use std::error::Error;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figures::{Figure, Found, Unit};

/// The charts: file, title, unit, and what a figure is divided by.
const CHARTS: [(&str, &str, Unit, f64); 3] = [
    ("instructions", "instructions", Unit::Instructions, 1.0),
    (
        "time",
        "milliseconds of the machine's time",
        Unit::Milliseconds,
        1e6,
    ),
    ("counts", "how many", Unit::Count, 1.0),
];

const WIDTH: u32 = 960;
const ROW: u32 = 46;
/// Space above and below the rows: titles, and the axis.
const AROUND: u32 = 120;
/// Space left of the bars: the rows' names.
const NAMES: u32 = 330;

const STOCK: RGBColor = RGBColor(0xb0, 0xb8, 0xc0);
const OURS: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const GOAL: RGBColor = RGBColor(0xd6, 0x27, 0x28);

/// A row, in the chart's unit.
struct Row<'a> {
    title: &'a str,
    stock: Option<f64>,
    ours: f64,
    goal: Option<f64>,
}

/// Draws the charts into `dir`, without empty ones.
pub(crate) fn draw(dir: &Path, figures: &[&Figure], stock: &Found, ours: &Found) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    for (name, title, unit, by) in CHARTS {
        let of_unit = figures.iter().filter(|figure| figure.unit == unit);
        let rows: Vec<Row> = of_unit
            .filter_map(|figure| row(figure, stock, ours, by))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let svg = chart(title, &rows, unit != Unit::Instructions)
            .map_err(|error| anyhow!("{name}: {error}"))?;
        std::fs::write(dir.join(name).with_extension("svg"), svg)?;
    }
    Ok(())
}

fn row<'a>(figure: &'a Figure, stock: &Found, ours: &Found, by: f64) -> Option<Row<'a>> {
    Some(Row {
        title: figure.title,
        stock: stock.get(figure.key).map(|value| value / by),
        ours: ours.get(figure.key)? / by,
        goal: figure.goal(stock).map(|value| value / by),
    })
}

/// One chart, as SVG.
fn chart(title: &str, rows: &[Row], logarithmic: bool) -> Result<String, Box<dyn Error>> {
    let values = || {
        rows.iter()
            .flat_map(|row| [row.stock, Some(row.ours), row.goal])
            .flatten()
    };
    let most = values().fold(1.0, f64::max) * 1.3;
    let count = f64::from(u32::try_from(rows.len())?);
    let height = AROUND + ROW * u32::try_from(rows.len())?;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut builder = ChartBuilder::on(&area);
        builder
            .caption(
                format!("{title} (grey: stock; blue: ours; red line: the goal)"),
                ("sans-serif", 18),
            )
            .margin(12)
            .margin_right(56)
            .x_label_area_size(32)
            .y_label_area_size(NAMES);
        if logarithmic {
            // Zero has no logarithm and gets no bar.
            let least = values().filter(|value| *value > 0.0).fold(most, f64::min) / 2.0;
            bars(
                builder.build_cartesian_2d((least..most).log_scale(), 0.0..count)?,
                rows,
                least,
            )?;
        } else {
            bars(
                builder.build_cartesian_2d(0.0..most, 0.0..count)?,
                rows,
                0.0,
            )?;
        }
        area.present()?;
    }
    Ok(svg)
}

type Chart<'a, 'b, X> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, plotters::coord::types::RangedCoordf64>>;

fn bars<X>(mut chart: Chart<X>, rows: &[Row], least: f64) -> Result<(), Box<dyn Error>>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_labels(8)
        .x_label_formatter(&|value| format!("{value}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    let area = chart.plotting_area();
    let pixels = area.strip_coord_spec();
    // The area's own pixels, out of the whole picture's.
    let origin = pixels.get_base_pixel();
    let place = |x: f64, row: f64| {
        let (x, y) = area.map_coordinate(&(x.max(least), row));
        (x - origin.0, y - origin.1)
    };
    let text = |size: i32| ("sans-serif", size).into_font();
    for (row, number) in rows.iter().rev().zip((1..).map(f64::from)) {
        let (left, top) = place(least, number);
        let name = text(14).into_text_style(&pixels);
        let name = name.pos(Pos::new(HPos::Right, VPos::Center));
        pixels.draw(&Text::new(row.title, (left - 8, top + 21), name))?;
        for (value, colour, down) in [(row.stock, STOCK, 5), (Some(row.ours), OURS, 22)] {
            let Some(value) = value else { continue };
            let ((right, _), y) = (place(value, number), top + down);
            let corners = [(left, y), (right, y + 15)];
            pixels.draw(&Rectangle::new(corners, colour.filled()))?;
            pixels.draw(&Text::new(figure(value), (right + 6, y + 2), text(12)))?;
        }
        if let Some(goal) = row.goal {
            let (x, _) = place(goal, number);
            let line = vec![(x, top + 2), (x, top + 40)];
            pixels.draw(&PathElement::new(line, GOAL.stroke_width(2)))?;
        }
    }
    Ok(())
}

/// A value with its significant digits.
fn figure(value: f64) -> String {
    match value {
        _ if value.fract().abs() < f64::EPSILON => format!("{value:.0}"),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::FIGURES;
    use super::*;

    const JSON: &str = r#"{
        "stock": {"fr_write": 560, "dr_write": 960, "echo": 4000000, "ttyama0_1m": 3700000000},
        "ours": {"fr_write": 565, "dr_write": 600, "echo": 200000, "ttyama0_64k_doorbells_count": 0}
    }"#;

    #[test]
    fn each_unit_has_a_chart_and_each_figure_its_bars() {
        let both: std::collections::BTreeMap<String, Found> = serde_json::from_str(JSON).unwrap();
        let all: Vec<&Figure> = FIGURES.iter().collect();
        let dir = tempfile::tempdir().unwrap();
        draw(dir.path(), &all, &both["stock"], &both["ours"]).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let instructions = read("instructions.svg");
        for said in [
            "DR write, ring with room",
            "FR write (ignored)",
            "960",
            "600",
        ] {
            assert!(instructions.contains(&format!("\n{said}\n")), "{said}");
        }
        // The background; two bars for each of the two.
        assert_eq!(instructions.matches("<rect").count(), 1 + 4);
        let goal = instructions.to_lowercase().matches("#d62728").count();
        assert_eq!(goal, 1, "only the write to UARTDR has a goal");
        let time = read("time.svg");
        assert!(time.contains("\n0.20\n") && time.contains("\n4\n"));
        // Not measured with ours.
        assert!(!time.contains("1 MiB written"));
        // Zero is a row without a bar.
        assert!(read("counts.svg").contains("doorbells"));
    }
}
