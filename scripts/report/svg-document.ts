import { escapeMarkup } from './markup.ts'

/**
 * The parts of the DOM that a plotting library needs to draw SVG without a browser: elements with attributes,
 * inline style and children, serialized as markup. Nothing is parsed, measured or dispatched.
 */
export class SvgElement {
  readonly tagName: string
  readonly namespaceURI: string
  readonly ownerDocument: SvgDocument
  readonly attributes = new Map<string, string>()
  readonly childNodes: (SvgElement | SvgText)[] = []
  readonly style = new InlineStyle()
  parentNode: SvgElement | null = null

  constructor(ownerDocument: SvgDocument, namespaceURI: string, tagName: string) {
    this.ownerDocument = ownerDocument
    this.namespaceURI = namespaceURI
    this.tagName = tagName
  }

  get firstChild(): SvgElement | SvgText | null {
    return this.childNodes[0] ?? null
  }

  get lastChild(): SvgElement | SvgText | null {
    return this.childNodes.at(-1) ?? null
  }

  get children(): SvgElement[] {
    return this.childNodes.filter((node) => node instanceof SvgElement)
  }

  get nextSibling(): SvgElement | SvgText | null {
    const siblings = this.parentNode?.childNodes ?? []
    return siblings[siblings.indexOf(this) + 1] ?? null
  }

  setAttribute(name: string, value: unknown): void {
    this.attributes.set(name, String(value))
  }

  setAttributeNS(_namespace: string | null, name: string, value: unknown): void {
    this.setAttribute(name, value)
  }

  getAttribute(name: string): string | null {
    return this.attributes.get(name) ?? null
  }

  hasAttribute(name: string): boolean {
    return this.attributes.has(name)
  }

  removeAttribute(name: string): void {
    this.attributes.delete(name)
  }

  appendChild<T extends SvgElement | SvgText>(node: T): T {
    return this.insertBefore(node, null)
  }

  insertBefore<T extends SvgElement | SvgText>(node: T, before: SvgElement | SvgText | null): T {
    node.parentNode?.removeChild(node)
    const at = before ? this.childNodes.indexOf(before) : this.childNodes.length
    this.childNodes.splice(at, 0, node)
    node.parentNode = this
    return node
  }

  removeChild<T extends SvgElement | SvgText>(node: T): T {
    this.childNodes.splice(this.childNodes.indexOf(node), 1)
    node.parentNode = null
    return node
  }

  remove(): void {
    this.parentNode?.removeChild(this)
  }

  append(...nodes: (SvgElement | SvgText | string)[]): void {
    for (const node of nodes) {
      this.appendChild(typeof node === 'string' ? this.ownerDocument.createTextNode(node) : node)
    }
  }

  querySelector(): null {
    return null
  }

  querySelectorAll(): [] {
    return []
  }

  addEventListener(): void {}

  get textContent(): string {
    return this.childNodes.map((node) => node.textContent).join('')
  }

  set textContent(text: string) {
    this.childNodes.length = 0
    if (text !== '') this.append(String(text))
  }

  get outerHTML(): string {
    const style = this.style.toString()
    const attributes = [...this.attributes, ...(style ? [['style', style] as const] : [])]
    const written = attributes.map(([name, value]) => ` ${name}="${escapeMarkup(value)}"`).join('')
    const raw = this.tagName === 'style'
    const inner = this.childNodes.map((node) => (raw ? node.textContent : node.outerHTML)).join('')
    return `<${this.tagName}${written}>${inner}</${this.tagName}>`
  }
}

class SvgText {
  textContent: string
  parentNode: SvgElement | null = null

  constructor(text: string) {
    this.textContent = text
  }

  get outerHTML(): string {
    return escapeMarkup(this.textContent)
  }
}

class InlineStyle {
  private readonly properties = new Map<string, string>()

  setProperty(name: string, value: unknown): void {
    this.properties.set(name, String(value))
  }

  removeProperty(name: string): void {
    this.properties.delete(name)
  }

  getPropertyValue(name: string): string {
    return this.properties.get(name) ?? ''
  }

  toString(): string {
    return [...this.properties].map(([name, value]) => `${name}:${value}`).join(';')
  }
}

export class SvgDocument {
  readonly documentElement = new SvgElement(this, 'http://www.w3.org/1999/xhtml', 'html')

  createElementNS(namespace: string, name: string): SvgElement {
    return new SvgElement(this, namespace, name)
  }

  createElement(name: string): SvgElement {
    return new SvgElement(this, 'http://www.w3.org/1999/xhtml', name)
  }

  createTextNode(text: string): SvgText {
    return new SvgText(text)
  }
}
