//! Stylesheet, scripts, icons: built into the program, served under names that change with their content and
//! may therefore be kept for ever. They are compressed once, at the first request.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::links;

/// In order: what stands later may refine what stands before.
const STYLE: &str = concat!(
    include_str!("assets/css/tokens.css"),
    include_str!("assets/css/frame.css"),
    include_str!("assets/css/controls.css"),
    include_str!("assets/css/overview.css"),
    include_str!("assets/css/drawings.css"),
    include_str!("assets/css/tables.css"),
    include_str!("assets/css/forms.css"),
    include_str!("assets/css/overlays.css"),
    include_str!("assets/css/narrow.css"),
    include_str!("assets/css/paper.css"),
    include_str!("assets/css/monitor.css"),
    include_str!("assets/css/fleet.css"),
    include_str!("assets/css/edit.css"),
    include_str!("assets/css/incidents.css"),
    include_str!("assets/css/alerting.css"),
    include_str!("assets/css/gate.css"),
    include_str!("assets/css/phones.css"),
    include_str!("assets/css/stale.css"),
);

const FILES: [(&str, &str, &str); 10] = [
    ("watchbell.css", "text/css; charset=utf-8", STYLE),
    ("sprite.svg", SVG, include_str!("assets/sprite.svg")),
    ("favicon-well.svg", SVG, include_str!("assets/favicon-well.svg")),
    ("favicon-degraded.svg", SVG, include_str!("assets/favicon-degraded.svg")),
    ("favicon-down.svg", SVG, include_str!("assets/favicon-down.svg")),
    ("clock.js", SCRIPT, include_str!("assets/clock.js")),
    ("live.js", SCRIPT, include_str!("assets/live.js")),
    ("keys.js", SCRIPT, include_str!("assets/keys.js")),
    ("chart.js", SCRIPT, include_str!("assets/chart.js")),
    ("form.js", SCRIPT, include_str!("assets/form.js")),
];
const SVG: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

struct Asset {
    kind: &'static str,
    plain: Bytes,
    packed: Bytes,
}

struct Assets {
    /// `watchbell.css` → `/assets/watchbell-3f1c….css`
    addresses: BTreeMap<&'static str, String>,
    /// `watchbell-3f1c….css` → what is served.
    served: BTreeMap<String, Asset>,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let mut assets = Assets { addresses: BTreeMap::new(), served: BTreeMap::new() };
    for (name, kind, content) in FILES {
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(content)[..6]);
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let hashed = format!("{stem}-{digest}.{ending}");
        assets.addresses.insert(name, links::url(&format!("/assets/{hashed}")));
        let plain = Bytes::from_static(content.as_bytes());
        assets.served.insert(hashed, Asset { kind, packed: packed(&plain), plain });
    }
    assets
});

/// Where the browser finds an asset. `name` is one of ours, so there is always an answer.
pub(crate) fn address(name: &str) -> &'static str {
    ASSETS.addresses.get(name).map_or("", String::as_str)
}

/// `GET /assets/{name}`
pub(crate) async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.served.get(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let takes_gzip = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("gzip")));
    let mut answer = if takes_gzip { asset.packed.clone() } else { asset.plain.clone() }.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if takes_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

fn packed(plain: &Bytes) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(plain.len() / 3), flate2::Compression::best());
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    Bytes::from(written.expect("writing to memory does not fail"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assets_name_holds_its_digest_and_leads_to_it() {
        let address = address("watchbell.css");
        let name = address.rsplit('/').next().unwrap();
        assert!(ASSETS.served.contains_key(name), "{address}");
        assert_eq!(name.len(), "watchbell-.css".len() + 12);
    }

    #[test]
    fn colours_live_in_the_tokens_only() {
        for (file, style) in STYLE_PARTS {
            let colour = style
                .match_indices('#')
                .find(|(at, _)| style[at + 1..].chars().take(3).filter(char::is_ascii_hexdigit).count() == 3);
            assert_eq!(colour.map(|(at, _)| &style[at..at + 7]), None, "{file} holds a colour");
        }
    }

    #[test]
    fn both_dark_lists_are_equal() {
        let tokens = include_str!("assets/css/tokens.css");
        let list = |head: &str| -> Vec<&str> {
            let from = tokens.find(head).expect(head) + head.len();
            let to = from + tokens[from..].find('}').unwrap();
            tokens[from..to].lines().map(str::trim).filter(|line| !line.is_empty()).collect()
        };
        assert_eq!(list(":root:not([data-theme=\"light\"]) {"), list(":root[data-theme=\"dark\"] {"));
    }

    #[test]
    fn everything_stays_within_its_budget() {
        let size = |name: &str| {
            ASSETS.served.iter().filter(|(it, _)| it.ends_with(name)).map(|(_, it)| it.packed.len()).sum::<usize>()
        };
        assert!(size(".css") <= 16_000, "style: {} bytes", size(".css"));
        assert!(size(".js") <= 12_000, "scripts: {} bytes", size(".js"));
    }

    const STYLE_PARTS: [(&str, &str); 3] = [
        ("frame.css", include_str!("assets/css/frame.css")),
        ("controls.css", include_str!("assets/css/controls.css")),
        ("overview.css", include_str!("assets/css/overview.css")),
    ];
}
