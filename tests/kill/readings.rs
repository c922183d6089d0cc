//! A page of metrics as text, read by rules of our own: the Prometheus text format, version 0.0.4.

use std::collections::BTreeMap;

/// Samples of one page.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// Types by family.
    pub types: BTreeMap<String, String>,
    /// Samples in the order of the page.
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name with its suffix.
    pub name: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
}

impl Sample {
    /// Its name and labels as one text.
    pub fn series(&self) -> String {
        format!("{}{:?}", self.name, self.labels)
    }

    /// The value of a label; empty where it is absent.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

impl Readings {
    /// Reads a page.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn parse(page: &str) -> Result<Self, String> {
        let mut out = Self::default();
        for line in page.lines().filter(|l| !l.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (family, kind) = rest.split_once(' ').ok_or_else(|| format!("no type: {line}"))?;
                if out.types.insert(family.to_owned(), kind.to_owned()).is_some() {
                    return Err(format!("described twice: {line}"));
                }
            } else if !line.starts_with('#') {
                out.samples.push(sample(line).ok_or_else(|| format!("no sample: {line}"))?);
            }
        }
        Ok(out)
    }

    /// Samples of a name.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |s| s.name == name)
    }

    /// True where a sample may only rise: a counter, a bucket, a number of observations.
    pub fn is_cumulative(&self, sample: &Sample) -> bool {
        let kind = |family: &str| self.types.get(family).map(String::as_str);
        let of_histogram = ["_bucket", "_count"]
            .iter()
            .any(|suffix| sample.name.strip_suffix(suffix).is_some_and(|f| kind(f) == Some("histogram")));
        kind(&sample.name) == Some("counter") || of_histogram
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(label.to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ')?.split(' ').next()?;
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().ok()? };
    Some(Sample { name: name.to_owned(), labels, value })
}

/// The text up to the closing quote, unescaped, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((out, &text[at + 1..])),
            (_, '\\') => out.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            (_, other) => out.push(other),
        }
    }
}

#[test]
fn a_page_is_read() {
    let page = "# HELP a_total x\n# TYPE a_total counter\na_total{f=\"q\\\"}\\n\",g=\"\"} 3\n# TYPE h histogram\n\
                h_bucket{le=\"+Inf\"} 2\nh_sum -1.5\nh_count 2\n";
    let readings = Readings::parse(page).expect("a page");
    let cumulative: Vec<bool> = readings.samples.iter().map(|s| readings.is_cumulative(s)).collect();
    assert_eq!(cumulative, [true, true, false, true]);
    assert_eq!(readings.samples[0].label("f"), "q\"}\n");
    assert_eq!(readings.samples[2].value, -1.5);
    assert!(Readings::parse("a{b=\"c} 1").is_err() && Readings::parse("a one").is_err());
}
