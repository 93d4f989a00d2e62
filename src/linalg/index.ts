// Small dense linear algebra in f64: the public names.

export { multiply, transpose } from './dense.ts'
export { leadingSvd, trailingSvd } from './partial.ts'
export { type PivotedQr, pivotedQr, type Qr, qr } from './qr.ts'
export { type RandomizedOptions, randomizedSvd } from './randomized.ts'
export { type Svd, svd, svdOfProduct } from './svd.ts'
