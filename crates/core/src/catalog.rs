//! From a kind's schema: form fields, manual, redaction.
