// The look of the report: two sets of colours behind one set of names, one column, tables that become
// cards on a phone. Charts take their colours from here.

const LIGHT = `
  --page: #f5f6f8; --surface: #ffffff; --ink: #1b1f24; --muted: #59636e; --line: #dfe3e8;
  --accent: #1f5fbf; --good: #1a7f4b; --bad: #b3261e;
  --training: #2a6bd1; --held: #c4560a;
  --extra: #fde3e1; --extra-ink: #8c1d18; --missing: #dff2e6; --missing-ink: #12603a;
  --heat-0: #edf3fb; --heat-1: #d3e3f6; --heat-2: #b3cfef; --heat-3: #8db6e4;
  --heat-4: #6198d6; --heat-5: #3572bb; --heat-6: #1f5aa3; --heat-7: #123d78;
  --heat-ink-0: #1b1f24; --heat-ink-1: #1b1f24; --heat-ink-2: #1b1f24; --heat-ink-3: #1b1f24;
  --heat-ink-4: #0d1117; --heat-ink-5: #ffffff; --heat-ink-6: #ffffff; --heat-ink-7: #ffffff;
  --shade-0: #d97706; --shade-1: #d9534f; --shade-2: #b5338a;
  --shade-3: #8426a6; --shade-4: #5420a0; --shade-5: #22186f;`

const DARK = `
  --page: #111418; --surface: #1a1e24; --ink: #e6e9ed; --muted: #a3adb8; --line: #323944;
  --accent: #7db1ff; --good: #5fce94; --bad: #ff8a80;
  --training: #6ea6ff; --held: #ffa25c;
  --extra: #4a1f1d; --extra-ink: #ffb4ab; --missing: #173a28; --missing-ink: #8fe0b4;
  --heat-0: #1f2733; --heat-1: #203349; --heat-2: #214262; --heat-3: #25547f;
  --heat-4: #2f6ba3; --heat-5: #4a8acb; --heat-6: #7bb0e8; --heat-7: #b9d8fb;
  --heat-ink-0: #e6e9ed; --heat-ink-1: #e6e9ed; --heat-ink-2: #e6e9ed; --heat-ink-3: #ffffff;
  --heat-ink-4: #ffffff; --heat-ink-5: #0d1117; --heat-ink-6: #0d1117; --heat-ink-7: #0d1117;
  --shade-0: #fcd34d; --shade-1: #fb9d4b; --shade-2: #f4716b;
  --shade-3: #e66bb3; --shade-4: #b98af2; --shade-5: #8ea7ff;`

const LAYOUT = `
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 40px 20px 64px; }
header { margin-bottom: 28px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 20px; line-height: 1.3; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 0 0 14px; max-width: 85ch; text-wrap: pretty; }
.lead, .muted, figcaption { color: var(--muted); }
code, pre, .text { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 13px; }
code { overflow-wrap: anywhere; }
section { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 24px; margin-top: 20px; }
pre { margin: 0; padding: 14px 16px; background: var(--page); border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; line-height: 1.5; }
section > :last-child { margin-bottom: 0; }
pre:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }`

const TILES = `
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(155px, 1fr)); gap: 12px; margin: 0; }
.tiles div { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; padding: 14px; }
.tiles dt { font-size: 13px; color: var(--muted); }
.tiles dd { margin: 0; }
.tiles .value { font-size: 20px; line-height: 1.4; white-space: nowrap; font-weight: 650; font-variant-numeric: tabular-nums; }
.tiles .note { font-size: 13px; color: var(--muted); }`

const CHARTS = `
figure { margin: 16px 0 0; }
figcaption { margin-top: 10px; font-size: 14px; }
.chart svg { display: block; width: 100%; height: auto; pointer-events: none; }
.chart.narrow { display: none; }
details { margin-top: 14px; }
summary { cursor: pointer; color: var(--accent); font-size: 14px; }
details .scroll { max-height: 420px; overflow: auto; margin-top: 8px; }`

const TABLES = `
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 8px 16px 8px 0; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 600; font-size: 13px; }
tbody th { font-weight: 500; }
tr.total th, tr.total td { font-weight: 650; border-bottom: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 24px 40px; }
.scroll { overflow-x: auto; }
.scroll + p { margin-top: 12px; }`

const SAMPLES = `
.samples { table-layout: fixed; }
.samples td { padding-right: 14px; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.5; }
.verdict { display: block; font-size: 13px; font-weight: 600; margin-bottom: 2px; }
.exact { color: var(--good); }
.wrong { color: var(--bad); }
del, ins { border-radius: 3px; padding: 0 1px; }
del { background: var(--extra); color: var(--extra-ink); text-decoration: line-through; }
ins { background: var(--missing); color: var(--missing-ink); text-decoration: underline dotted; text-underline-offset: 3px; }`

const PHONE = `
@media (max-width: 640px) {
  main { padding: 24px 12px 48px; }
  section { padding: 18px 14px; }
  h1 { font-size: 25px; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .chart.wide { display: none; }
  .chart.narrow { display: block; }
  th, td { padding-right: 10px; }
  table { font-size: 13px; }
  .samples, .samples tbody, .samples tr, .samples td { display: block; width: auto; }
  .samples thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .samples tr { border-bottom: 1px solid var(--line); padding: 12px 0; }
  .samples td { border: 0; padding: 4px 0; }
  .samples td::before { content: attr(data-name); display: block; color: var(--muted); font-size: 13px; }
}`

const PRINT = `
@media print {
  section { break-inside: avoid; border: 0; padding: 12px 0; }
  details { display: none; }
}`

export const STYLE: string = `
:root { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { :root { ${DARK} } }
${LAYOUT}
${TILES}
${CHARTS}
${TABLES}
${SAMPLES}
${PHONE}
${PRINT}
`
