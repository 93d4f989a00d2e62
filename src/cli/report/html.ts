// HTML that cannot be broken by what it shows: the tag `html` escapes every value that is not HTML
// itself.

/** Text that is HTML already. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toString(): string {
    return this.text
  }
}

export type Content = Html | string | number | undefined | readonly Content[]

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text as it stands between tags or in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, character => ENTITIES[character])
}

function render(content: Content): string {
  if (content instanceof Html) {
    return content.text
  }
  if (Array.isArray(content)) {
    return content.map(render).join('')
  }
  return content === undefined ? '' : escapeHtml(String(content))
}

/** A template of HTML; values are escaped unless they are HTML, lists are joined. */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(strings.map((part, i) => part + render(values[i])).join(''))
}
