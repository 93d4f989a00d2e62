export {
  adafactor_advance,
  adafactor_apply,
  adafactor_columns,
  adafactor_rows,
  adafactor_scale,
} from './adafactor'
