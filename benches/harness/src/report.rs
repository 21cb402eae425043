//! Tables for people, and the same figures as JSON for programs.

use std::fmt::Write;

use serde_json::{Map, Value, json};

/// A budget and what was measured against it.
#[derive(Debug, Clone)]
pub struct Budget {
    pub what: String,
    pub measured: f64,
    pub limit: Limit,
}

#[derive(Debug, Clone, Copy)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Budget {
    pub fn new(what: impl Into<String>, measured: f64, limit: Limit) -> Budget {
        Budget {
            what: what.into(),
            measured,
            limit,
        }
    }

    pub fn is_met(&self) -> bool {
        match self.limit {
            Limit::AtMost(most) => self.measured <= most,
            Limit::AtLeast(least) => self.measured >= least,
        }
    }
}

/// What a run found out: text for the terminal, members for the JSON file.
#[derive(Debug, Default)]
pub struct Report {
    pub text: String,
    pub json: Map<String, Value>,
    pub budgets: Vec<Budget>,
}

impl Report {
    pub fn heading(&mut self, text: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = write!(self.text, "\n{text}\n");
    }

    /// Columns as wide as they must be; the first is set to the left, the others to the right.
    pub fn table(&mut self, name: &str, header: &[&str], rows: &[Vec<String>]) {
        let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
        for row in std::iter::once(&header).chain(rows) {
            let mut line = String::new();
            for (place, (width, cell)) in widths.iter().zip(row).enumerate() {
                if place == 0 {
                    let _ = write!(line, "{cell:<width$}");
                } else {
                    let _ = write!(line, "  {cell:>width$}");
                }
            }
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                let cells = header.iter().zip(row);
                cells.map(|(name, cell)| (name.clone(), number(cell))).collect()
            })
            .collect();
        self.json.insert(name.to_owned(), Value::Array(rows));
    }

    /// The budgets as a table of their own, at the end.
    pub fn budget_table(&mut self) {
        if self.budgets.is_empty() {
            return;
        }
        let rows: Vec<Vec<String>> = self
            .budgets
            .iter()
            .map(|budget| {
                let limit = match budget.limit {
                    Limit::AtMost(most) => format!("at most {most}"),
                    Limit::AtLeast(least) => format!("at least {least}"),
                };
                let met = if budget.is_met() { "met" } else { "NOT MET" };
                vec![
                    budget.what.clone(),
                    figure(budget.measured),
                    limit,
                    met.to_owned(),
                ]
            })
            .collect();
        self.heading("Budgets");
        self.table("budgets", &["what", "measured", "budget", ""], &rows);
    }
}

/// Three digits that mean something.
pub fn figure(value: f64) -> String {
    if value.is_nan() {
        return "-".to_owned();
    }
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn number(cell: &str) -> Value {
    cell.parse::<f64>()
        .map_or_else(|_| Value::from(cell), |value| json!(value))
}
