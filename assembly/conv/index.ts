export { col2im, fill_channels, im2col, sum_channels } from './conv2d'
