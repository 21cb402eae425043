//! Writes IAM's XML: nested elements of text, nothing more.

use std::fmt::Write;

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// An XML document being written.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// The answer to `action`: its result, if it has one, inside the envelope every answer has.
    pub(crate) fn response(action: &str, request_id: &str, result: Option<&Xml>) -> String {
        let mut xml = Self::default();
        xml.root(&format!("{action}Response"), |xml| {
            if let Some(result) = result {
                xml.element(&format!("{action}Result"), |xml| xml.0.push_str(&result.0));
            }
            xml.element("ResponseMetadata", |xml| xml.text("RequestId", request_id));
        });
        xml.0
    }

    pub(crate) fn error(fault: &str, code: &str, message: &str, request_id: &str) -> String {
        let mut xml = Self::default();
        xml.root("ErrorResponse", |xml| {
            xml.element("Error", |xml| {
                xml.text("Type", fault);
                xml.text("Code", code);
                xml.text("Message", message);
            });
            xml.text("RequestId", request_id);
        });
        xml.0
    }

    fn root(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "<{name} xmlns=\"{NAMESPACE}\">");
        content(self);
        self.close(name);
    }

    pub(crate) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        let _ = write!(self.0, "<{name}>");
        content(self);
        self.close(name);
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.element(name, |xml| xml.escaped(value));
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.text(name, if value { "true" } else { "false" });
    }

    /// A list as the Query protocol writes it: one `member` per item.
    pub(crate) fn list<T>(&mut self, name: &str, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.element(name, |xml| {
            for item in items {
                xml.element("member", |xml| each(xml, item));
            }
        });
    }

    pub(crate) fn escaped(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                other => self.0.push(other),
            }
        }
    }

    fn close(&mut self, name: &str) {
        let _ = writeln!(self.0, "</{name}>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_can_end_an_element() {
        let xml = Xml::error("Sender", "ValidationError", "</Message>&\"", "r");
        assert!(
            xml.contains("<Message>&lt;/Message&gt;&amp;&quot;</Message>"),
            "{xml}"
        );
    }
}
