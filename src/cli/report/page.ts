// The report as one HTML file that needs nothing else: no script, no font, no network.

import type { ReportData } from './data.ts'
import { Html, html } from './html.ts'
import {
  changeSection,
  header,
  lossSection,
  sampleSection,
  settingSection,
  sizeSection,
  spectrumSection,
  useSection,
  warningSection,
} from './sections.ts'
import { STYLE } from './style.ts'

/** Browsers enforce what the file promises. */
export const POLICY: string = "default-src 'none'; style-src 'unsafe-inline'"

export function reportPage(data: ReportData): string {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>LoRA fine-tuning of ${data.args.model}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>
${header(data)}
${warningSection(data)}
${lossSection(data)}
${sampleSection(data)}
${sizeSection(data)}
${changeSection(data)}
${spectrumSection(data)}
${settingSection(data)}
${useSection(data)}
</main>
</body>
</html>
`
  return page.text
}
