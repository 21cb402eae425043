//! Small charts, side by side, as SVG; enough for points on lines from a common zero.

use std::fmt::Write;

pub struct Panel {
    pub title: String,
    /// Of x; y is microseconds.
    pub unit: String,
    pub series: Vec<Series>,
}

pub struct Series {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

const ACROSS: usize = 2;
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 42.0;
const COLOURS: [&str; 2] = ["#0b6e99", "#c4572b"];

/// The whole picture.
pub fn svg(panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(ACROSS);
    let (width, height) = (WIDTH * number(ACROSS), HEIGHT * number(rows));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (place, panel) in panels.iter().enumerate() {
        let (x, y) = (WIDTH * number(place % ACROSS), HEIGHT * number(place / ACROSS));
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
        draw(&mut svg, panel);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn draw(svg: &mut String, panel: &Panel) {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let x_most = step(points().map(|(x, _)| *x).fold(1.0, f64::max) / 4.0) * 4.0;
    let y_most = step(points().map(|(_, y)| *y).fold(1.0, f64::max) / 4.0) * 4.0;
    let x_at = |x: f64| LEFT + x / x_most * (WIDTH - LEFT - RIGHT);
    let y_at = |y: f64| HEIGHT - BOTTOM - y / y_most * (HEIGHT - TOP - BOTTOM);
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"18\" font-size=\"13\">{}</text>",
        panel.title
    );
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let (x, y) = (x_at(x_most * share), y_at(y_most * share));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            y_most * share,
            HEIGHT - BOTTOM + 16.0,
            x_most * share,
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}; microseconds</text>",
        WIDTH - RIGHT,
        HEIGHT - 10.0,
        panel.unit
    );
    for (place, (series, colour)) in panel.series.iter().zip(COLOURS).enumerate() {
        let at: Vec<String> = series
            .points
            .iter()
            .map(|(x, y)| format!("{:.1},{:.1}", x_at(*x), y_at(*y)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            at.join(" ")
        );
        for (x, y) in &series.points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{colour}\"/>",
                x_at(*x),
                y_at(*y)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" fill=\"{colour}\">{}</text>",
            LEFT + 50.0 * number(place),
            HEIGHT - 10.0,
            series.name
        );
    }
}

/// The next of 1, 2, 2.5, 5 and 10 times a power of ten.
fn step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0];
    let found = steps.iter().find(|step| **step * power >= rough);
    found.map_or(10.0 * power, |step| step * power)
}
