// Style and script of the attribution report. No '<' and no '&': the page is XML too.
#include "report/attribution_html.h"

namespace emshap::report {

const char* const page_style = R"css(
:root { --ink: #222; --faint: #666; --line: #ddd; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif;
  color: var(--ink); background: #fafafa; }
main { max-width: 1400px; margin: 0 auto; padding: 0 20px 60px; }
nav { position: sticky; top: 0; z-index: 5; background: #fff; border-bottom: 1px solid var(--line);
  padding: 8px 20px; display: flex; flex-wrap: wrap; gap: 4px 18px; justify-content: center; }
nav a { color: #0b5ea8; text-decoration: none; }
nav a:hover { text-decoration: underline; }
h1 { font-size: 26px; margin: 26px 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 0 0 10px; }
h3 { font-size: 16px; margin: 20px 0 6px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: 18px 20px;
  margin: 18px 0; scroll-margin-top: 50px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 0 0 12px; }
.tile { background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: 8px 14px; }
.tile b { display: block; font-size: 19px; font-weight: 600; overflow-wrap: anywhere; }
.tile span { color: var(--faint); font-size: 13px; }
.note { color: var(--faint); margin: 4px 0 8px; max-width: 78em; }
.warning { background: #fff4e0; border-left: 4px solid #e69f00; padding: 8px 12px; margin: 8px 0;
  overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(540px, 100%), 1fr)); gap: 14px;
  margin-bottom: 10px; align-items: start; }
figure { margin: 0; }
figure svg { display: block; width: 100%; height: auto; max-width: 820px; }
.scroll { overflow-x: auto; }
.tall { max-height: 75vh; overflow: auto; border: 1px solid var(--line); }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; text-align: left; vertical-align: top; border-bottom: 1px solid #eee; }
td { overflow-wrap: break-word; max-width: 36em; }
th { font-weight: 600; border-bottom: 2px solid var(--line); max-width: 14em; overflow-wrap: break-word;
  vertical-align: bottom; }
.n { text-align: right; }
td.n { white-space: nowrap; }
td i { font-style: normal; color: #555; font-size: 12px; }
#rows-table { font-size: 13px; border-collapse: separate; border-spacing: 0; }
#rows-table th { position: sticky; top: 0; background: #fff; z-index: 2; }
#rows-table td:first-child { position: sticky; left: 0; background: #fff; z-index: 1; }
#rows-table td { white-space: nowrap; max-width: 20em; overflow: hidden; text-overflow: ellipsis; }
#rows-table th:first-child { left: 0; z-index: 3; }
#rows-table tr.chosen td { outline: 1px solid #0b5ea8; }
.u1 { background: #fff0f3; } .u2 { background: #ffe0e7; } .u3 { background: #ffccd8; }
.u4 { background: #ffb3c5; } .u5 { background: #ff9ab3; }
.d1 { background: #eff7ff; } .d2 { background: #dceeff; } .d3 { background: #c4e3ff; }
.d4 { background: #a8d6ff; } .d5 { background: #8bc8ff; }
.bad, .flag { border-radius: 3px; padding: 0 5px; font-size: 12px; white-space: nowrap; background: #eee; }
.bad { background: #ffe2b8; }
.script { display: none; }
.scripted .script { display: inline; }
.scripted #rows-table th, .scripted #rows-table td { cursor: pointer; }
#panel { border: 1px solid var(--line); border-radius: 6px; padding: 10px 14px; margin: 8px 0; }
#panel h3 { margin-top: 0; }
.bar-line { display: grid; grid-template-columns: minmax(8em, 22em) 1fr 11em; gap: 10px; align-items: center;
  font-size: 13px; }
.bar-line > span:first-child { text-align: right; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
.bar { position: relative; height: 14px; background: #f4f4f4; }
.bar b { position: absolute; top: 0; bottom: 0; }
.bar b.up { left: 50%; background: #ff0051; }
.bar b.down { right: 50%; background: #008bfb; }
@media print { nav { display: none; } .tall { max-height: none; } section { break-inside: avoid-page; } }
)css";

const char* const page_script = R"js(//<![CDATA[
(function () {
  'use strict';
  var table = document.getElementById('rows-table');
  var panel = document.getElementById('panel');
  if (!table || !panel) return;
  document.body.className = 'scripted';
  var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
  var body = table.tBodies[0];
  function text(cell) {  // without the standard error
    var first = cell.firstChild;
    return first && first.nodeType === 3 ? first.nodeValue.trim() : cell.textContent.trim();
  }
  function value(cell) {
    var t = text(cell).replace(/,/g, '').replace(/\u2212/g, '-').replace('\u221e', 'Infinity');
    return t === '' ? NaN : Number(t);
  }
  var sorted = -1, sign = 1;
  function sort(column) {
    var numeric = heads[column].classList.contains('n');
    sign = sorted === column ? -sign : numeric ? -1 : 1;
    sorted = column;
    var rows = Array.prototype.slice.call(body.rows).map(function (row, i) {
      var cell = row.cells[column];
      return { row: row, place: i, key: numeric ? value(cell) : text(cell) };
    });
    rows.sort(function (a, b) {
      if (!numeric) return sign * a.key.localeCompare(b.key, undefined, { numeric: true }) || a.place - b.place;
      if (isNaN(a.key) || isNaN(b.key)) return isNaN(a.key) - isNaN(b.key) || a.place - b.place;
      return a.key === b.key ? a.place - b.place : a.key < b.key ? -sign : sign;
    });
    rows.forEach(function (r) { body.appendChild(r.row); });
    heads.forEach(function (h, i) {
      if (i === column) h.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
      else h.removeAttribute('aria-sort');
    });
  }
  function element(tag, kind, content) {
    var e = document.createElementNS('http://www.w3.org/1999/xhtml', tag);
    if (kind) e.className = kind;
    if (content !== undefined) e.textContent = content;
    return e;
  }
  function draw(row) {
    Array.prototype.forEach.call(body.rows, function (r) { r.classList.toggle('chosen', r === row); });
    var parts = [], most = 0, prediction = '';
    heads.forEach(function (h, i) {
      var cell = row.cells[i];
      if (h.textContent === 'prediction' && !h.hasAttribute('data-phi')) prediction = text(cell);
      if (!h.hasAttribute('data-phi')) return;
      var v = value(cell);
      if (isFinite(v)) most = Math.max(most, Math.abs(v));
      parts.push({ name: cell.title || h.textContent, v: v, shown: cell.textContent });
    });
    parts.sort(function (a, b) { return Math.abs(b.v || 0) - Math.abs(a.v || 0); });
    panel.textContent = '';
    panel.hidden = false;
    panel.appendChild(element('h3', '', row.cells[0].textContent + ': prediction ' + prediction));
    parts.forEach(function (p) {
      var line = element('div', 'bar-line'), bar = element('span', 'bar');
      var name = element('span', '', p.name);
      name.title = p.name;
      if (isFinite(p.v) && most > 0) {
        var fill = element('b', p.v < 0 ? 'down' : 'up');
        fill.style.width = 50 * Math.abs(p.v) / most + '%';
        bar.appendChild(fill);
      }
      line.appendChild(name);
      line.appendChild(bar);
      line.appendChild(element('span', '', p.shown));
      panel.appendChild(line);
    });
  }
  heads.forEach(function (h, i) {
    h.tabIndex = 0;
    h.addEventListener('click', function () { sort(i); });
    h.addEventListener('keydown', function (e) { if (e.key === 'Enter') sort(i); });
  });
  body.addEventListener('click', function (e) {
    var row = e.target.closest('tr');
    if (row) draw(row);
  });
}());
//]]>
)js";

}  // namespace emshap::report
