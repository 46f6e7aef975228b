"""The style sheet of report.html: a page to read on paper, on a phone and at night, with no font to fetch."""

STYLE = """
:root { --ink: #1b1f24; --muted: #5b6470; --grid: #d9dde2; --paper: #ffffff; --code: #f4f5f7;
  --bn: #b84a00; --gn: #0069a8; --ln: #00785a; --in: #a6487f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --muted: #9aa4b0; --grid: #353b44; --paper: #14171b;
  --code: #1e2329; --bn: #ff9a57; --gn: #5bb8f2; --ln: #4fcfa6; --in: #e79ac6; } }
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 3.5rem 1.25rem 4rem; max-width: 52rem; line-height: 1.55; font-size: 1.0625rem;
  font-family: Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", Georgia, serif; }
h1, h2, h3, h4, nav, .kicker, table, figcaption, summary {
  font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: clamp(1.9rem, 5.5vw, 2.7rem); line-height: 1.12; letter-spacing: -0.02em; margin: 0.2rem 0 0.9rem;
  text-wrap: balance; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 1rem; letter-spacing: -0.01em; }
h3 { font-size: 1.0625rem; line-height: 1.35; margin: 2rem 0 0.6rem; }
h4 { font-size: 0.9375rem; margin: 1.8rem 0 0.4rem; }
h3 span { color: var(--muted); font-weight: 500; margin-right: 0.3em; }
article + article { margin-top: 3rem; } article + details, article + p { margin-top: 1.6rem; }
nav { border-top: 1px solid var(--grid); margin-top: 2.6rem; padding-top: 1.4rem; font-size: 0.9375rem; }
nav ol { list-style: none; margin: 0; padding: 0; } nav li { margin: 0.5rem 0; line-height: 1.4; }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
nav span { display: block; color: var(--muted); font-size: 0.875rem; }
p, ul { max-width: 40rem; margin: 0.7rem 0; overflow-wrap: break-word; hyphens: manual; text-wrap: pretty; }
ul { padding-left: 1.2rem; } li { margin: 0.3rem 0; }
.kicker { color: var(--muted); font-size: 0.85rem; margin: 0; }
.question { font-size: 1.25rem; line-height: 1.45; color: var(--muted); font-style: italic; }
.answer { font-size: 1.125rem; }
section { margin-top: 2.6rem; padding-top: 2rem; border-top: 1px solid var(--grid); }
main > section:first-child { border-top: 0; padding-top: 0; margin-top: 1.2rem; }
figure { margin: 1rem 0 0; } figure svg { display: block; width: 100%; height: auto; }
.narrow { display: none; }
.gallery { display: grid; grid-template-columns: repeat(var(--columns), 1fr); gap: 0.9rem; margin-top: 1rem; }
.gallery figure { margin: 0; } .gallery figcaption { margin-top: 0.2rem; }
.gallery img { display: block; width: 100%; height: auto; }
figcaption, caption { color: var(--muted); font-size: 0.875rem; line-height: 1.45; text-align: left; max-width: 44rem; }
figcaption { margin-top: 0.8rem; }
.scroll { overflow-x: auto; margin: 1.4rem 0; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; line-height: 1.35;
  font-variant-numeric: tabular-nums lining-nums; }
caption { padding-bottom: 0.5rem; color: var(--ink); font-weight: 600; max-width: min(44rem, calc(100vw - 2.5rem)); }
th, td { padding: 0.42rem 0.6rem; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; font-weight: 500; white-space: normal; }
td:last-child { padding-right: 0; }
thead th { border-bottom: 1.5px solid var(--ink); font-weight: 600; vertical-align: bottom; }
thead th:last-child { padding-right: 0; }
tbody tr { border-bottom: 1px solid var(--grid); } tbody tr:last-child { border-bottom: 1.5px solid var(--ink); }
td small { display: block; color: var(--muted); font-size: 0.75rem; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.86em; }
pre { background: var(--code); padding: 0.8rem 1rem; overflow-x: auto; border-radius: 4px; margin: 0.6rem 0 1rem;
  line-height: 1.5; }
summary { cursor: pointer; font-size: 0.9rem; color: var(--muted); }
a { color: var(--gn); } :focus-visible { outline: 2px solid var(--gn); outline-offset: 2px; }
footer { margin-top: 3rem; color: var(--muted); font-size: 0.875rem; }
@media (max-width: 40rem) { body { padding-top: 2rem; font-size: 1rem; }
  .gallery { grid-template-columns: 1fr; }
  .wide { display: none; } .narrow { display: block; } th, td { padding: 0.4rem 0.35rem; }
  table { font-size: 0.8125rem; }
  th:first-child { min-width: 4.5rem; }
  .question { font-size: 1.1rem; } .answer { font-size: 1.03rem; } }
@media print { :root { --ink: #000; --muted: #444; --grid: #ccc; --paper: #fff; --code: #f4f4f4; }
  body { padding: 0; max-width: none; font-size: 10.5pt; } figure, table, pre { break-inside: avoid; }
  h2, h3, h4 { break-after: avoid; }
  pre { white-space: pre-wrap; } @page { margin: 20mm; } }
"""
