// Reads {name: dashboard} from standard input; writes what TypeScript says of each against the
// types of @grafana/schema. Nothing is written to disk: the program to compile is in memory.
import { readFileSync } from "node:fs";
import ts from "typescript";

const FILE = new URL("dashboards.ts", import.meta.url).pathname;
// The options of these panels have types of their own; queries of data sources have none there.
const PANELS = {
  heatmap: "Heatmap", logs: "Logs", stat: "Stat", "state-timeline": "StateTimeline",
  table: "Table", text: "Text", timeseries: "TimeSeries",
};
const folder = (name) => name.replace("-", "").toLowerCase();

const lines = [`import type { Dashboard } from "@grafana/schema";`];
for (const [kind, name] of Object.entries(PANELS)) {
  const path = `${folder(kind)}/panelcfg/x/${name}PanelCfg_types.gen`;
  lines.push(`import type { Options as ${name}Options } from "@grafana/schema/dist/esm/raw/composable/${path}";`);
}
// JSON holds the values of enums, not their names.
lines.push("type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;");

const where = new Map(); // line of the program, from 1, to what stands there
function check(place, type, value) {
  lines.push(`export const _${lines.length}: Json<${type}> = ${JSON.stringify(value)};`);
  where.set(lines.length, place);
}
for (const [name, dashboard] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  check(name, "Dashboard", dashboard);
  for (const panel of dashboard.panels) {
    const place = `${name}: ${panel.title || panel.type}`;
    if (PANELS[panel.type]) check(place, `Partial<${PANELS[panel.type]}Options>`, panel.options);
  }
}

const text = lines.join("\n");
const options = {
  strict: true, noEmit: true, skipLibCheck: true, types: [],
  target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
};
const host = ts.createCompilerHost(options);
const { getSourceFile, fileExists } = host;
host.fileExists = (name) => name === FILE || fileExists(name);
host.getSourceFile = (name, ...rest) =>
  name === FILE ? ts.createSourceFile(name, text, ...rest) : getSourceFile(name, ...rest);

const said = ts.getPreEmitDiagnostics(ts.createProgram([FILE], options, host)).map((one) => {
  const message = ts.flattenDiagnosticMessageText(one.messageText, "\n");
  if (one.file?.fileName !== FILE) return message;
  const line = one.file.getLineAndCharacterOfPosition(one.start).line + 1;
  return `${where.get(line) ?? lines[line - 1]}: ${one.file.text.substr(one.start, 60)}: ${message}`;
});
console.log(JSON.stringify({ checked: where.size, said }));
