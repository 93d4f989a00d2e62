// Small dense linear algebra in f64: the public names.

export { multiply, transpose } from './dense.ts'
export { type PivotedQr, pivotedQr, type Qr, qr } from './qr.ts'
export { type Svd, svd, svdOfProduct } from './svd.ts'
