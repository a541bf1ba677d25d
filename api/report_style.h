// What the HTML report looks like, and the little that its script does: sorting, filtering, opening what a
// link points at. Without the script everything can be read all the same.
#pragma once

#include <string_view>

namespace plica {

inline constexpr std::string_view kReportStyle = R"css(
:root{color-scheme:light dark;--page:#faf9f6;--card:#fff;--ink:#1d1c1a;--soft:#5f5b54;--line:#e3dfd6;--grid:#ece8e0;
--accent:#23598f;--negative:#b4500f;--good:#1f6b43;--good-bg:#e2f1e8;--kept:#7a5200;--kept-bg:#fbeecb;--note:#6b6a75;
--warning:#a86500;--error:#b3261e;--error-bg:#fbe3e0;--hist:#23598f2e;--halo-w:#f3b13a;--halo-e:#ee6a5f}
@media (prefers-color-scheme:dark){:root{--page:#131518;--card:#1b1e23;--ink:#ebe8e2;--soft:#a8a49b;--line:#30343b;
--grid:#282c33;--accent:#82b8ee;--negative:#f2a168;--good:#7fd0a2;--good-bg:#173427;--kept:#f0c566;--kept-bg:#3a2e10;
--note:#a3a1b0;--warning:#f0b04a;--error:#ff8a80;--error-bg:#421b18;--hist:#82b8ee3d;--halo-w:#8a5f12;--halo-e:#93322b}}
*{box-sizing:border-box}
[hidden]{display:none!important}
html{scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:44px}
h1,h2{font-family:"Iowan Old Style","Palatino Linotype",Palatino,"Book Antiqua",Georgia,serif;font-weight:600;
line-height:1.15;letter-spacing:-.01em;text-wrap:balance}
h1{font-size:clamp(1.7rem,5vw,2.6rem);margin:.1em 0 .3em;overflow-wrap:anywhere}
h2{font-size:1.45rem;margin:2.2em 0 .5em}
h3{font-size:.95rem;margin:1.4em 0 .4em}
p{margin:.4em 0;max-width:74ch}
a{color:var(--accent);text-underline-offset:.15em;text-decoration-thickness:1px}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:3px}
.eyebrow{color:var(--soft);font-size:.8rem;letter-spacing:.08em;text-transform:uppercase}
.lead{font-size:1.1rem;color:var(--soft)}
.soft,.formula,.key{color:var(--soft)}
code,.name{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.88em;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(215px,1fr));gap:14px;margin:26px 0 0;padding:0;
list-style:none}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px}
.card h2{font:inherit;font-size:.85rem;color:var(--soft);margin:0;letter-spacing:0}
.big{font-size:1.9rem;font-weight:600;line-height:1.25;letter-spacing:-.02em;white-space:nowrap}
.big small{font-size:1.05rem;font-weight:400;color:var(--soft)}
.big.ok{color:var(--good)}.big.bad{color:var(--error)}
.card p{font-size:.86rem;color:var(--soft);margin:.25em 0 0;line-height:1.4}
.meter{height:6px;border-radius:3px;background:var(--grid);margin:10px 0 8px;overflow:hidden}
.meter i{display:block;height:100%;background:var(--good);border-radius:3px}
.gauge{position:relative;height:6px;border-radius:3px;background:linear-gradient(90deg,var(--good-bg) var(--t),
var(--error-bg) var(--t));margin:10px 0 8px}
.gauge i{position:absolute;top:-3px;width:12px;height:12px;margin-left:-6px;border-radius:50%;background:var(--good);
border:2px solid var(--card)}
.gauge.bad i{background:var(--error)}
.gauge b{position:absolute;top:-4px;width:2px;height:14px;margin-left:-1px;background:var(--soft)}
.two{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:14px 30px;align-items:start}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:10px;background:var(--card)}
table{border-collapse:collapse;width:100%;font-size:.88rem}
th,td{padding:7px 12px;text-align:left;vertical-align:top;border-bottom:1px solid var(--grid)}
tbody tr:last-child>*{border-bottom:0}
th{font-weight:600;color:var(--soft);white-space:nowrap}
tbody th{color:var(--ink);font-weight:400}
td.n,th.n{text-align:right;white-space:nowrap}
th button{all:unset;cursor:pointer}
th button:focus-visible{outline:2px solid var(--accent)}
th[aria-sort=ascending] button::after{content:" \2191"}
th[aria-sort=descending] button::after{content:" \2193"}
td .name,th .name{display:inline-block;min-width:9ch;max-width:38ch}
tbody tr:hover{background:color-mix(in srgb,var(--grid) 45%,transparent)}
.bars{display:grid;gap:2px;min-width:40px;width:100%;padding-top:4px}
.bars i{display:block;height:6px;border-radius:2px;background:var(--grid);min-width:1px}
.bars i+i{background:var(--accent)}
.pill{display:inline-block;border-radius:99px;padding:0 9px;font-size:.8rem;font-weight:600;white-space:nowrap}
.pill.folded{background:var(--good-bg);color:var(--good)}
.pill.kept{background:var(--kept-bg);color:var(--kept)}
.sev{white-space:nowrap;font-weight:600;font-size:.85rem}
.sev.note{color:var(--note);font-weight:400}.sev.warning{color:var(--warning)}.sev.error{color:var(--error)}
input[type=search]{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:6px 12px;width:min(100%,340px)}
.legend{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:.83rem;color:var(--soft);margin:.8em 0 1em;padding:0;
list-style:none}
.legend i{display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:6px;background:var(--accent)}
.legend .neg i{background:var(--negative)}
.legend .w i{background:var(--accent);box-shadow:0 0 0 3px var(--halo-w)}
.legend .e i{background:var(--accent);box-shadow:0 0 0 3px var(--halo-e)}
.legend .tick i{width:2px;height:11px;border-radius:0;background:var(--warning);vertical-align:-1px}
.legend .line i{width:16px;height:0;border-radius:0;border-top:2px solid var(--soft);background:none;vertical-align:4px}
details{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:8px 0;
scroll-margin-top:12px;content-visibility:auto;contain-intrinsic-size:auto 46px}
summary{cursor:pointer;padding:10px 14px;display:flex;flex-wrap:wrap;gap:3px 12px;align-items:baseline;list-style:none}
summary::-webkit-details-marker{display:none}
summary::before{content:"";flex:none;width:7px;height:7px;border:solid var(--soft);border-width:0 2px 2px 0;
transform:rotate(-45deg);align-self:center}
details[open]>summary::before{transform:rotate(45deg)}
summary .name{flex:1 1 200px;font-weight:600}
summary .soft{font-size:.85rem}
.inside{padding:0 16px 18px}
.inside p{font-size:.93rem}
.why{border-left:3px solid var(--kept);padding:.1em 0 .1em 12px;margin:.6em 0}
.findings{list-style:none;padding:0;margin:.6em 0;font-size:.9rem}
.findings li{padding:5px 0;border-top:1px solid var(--grid);max-width:90ch}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:20px 30px;margin-top:14px}
figure{margin:0;min-width:0}
figcaption{font-size:.86rem;display:flex;flex-wrap:wrap;gap:0 10px;align-items:baseline;margin-bottom:5px}
figcaption .key{margin-left:auto}
sup{font-size:.72em;line-height:0}
.frame{display:flex;height:170px}
.wide .frame{height:190px}
.y{position:relative;flex:0 0 66px;font-size:.74rem;color:var(--soft)}
.y span{position:absolute;right:8px;transform:translateY(-50%);white-space:nowrap;line-height:1}
.y sup{font-size:.78em;line-height:0}
.area{position:relative;flex:1;min-width:0}
.area svg,.hist{display:block;width:100%;height:100%}
.hist{flex:0 0 46px;width:46px;margin-left:5px}
.hist path{fill:var(--hist)}
span.reference{position:absolute;right:4px;transform:translateY(-105%);font-size:.72rem;color:var(--soft);
background:color-mix(in srgb,var(--card) 80%,transparent);padding:0 3px;border-radius:3px}
.x{display:flex;justify-content:space-between;font-size:.74rem;color:var(--soft);margin:3px 51px 0 66px;gap:8px}
.wide .x{margin-right:0}
svg.body path{fill:none;vector-effect:non-scaling-stroke;stroke-linecap:butt}
svg.body{overflow:visible}
.grid{stroke:var(--grid);stroke-width:1}
.zero{stroke:var(--soft);stroke-width:1;opacity:.55}
.median{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 4}
.reference{stroke:var(--warning);stroke-width:1;stroke-dasharray:6 4}
svg.body .positive,svg.body .negative,svg.body .halo,svg.body .middle{stroke-linecap:round}
.positive{stroke:var(--accent)}.negative{stroke:var(--negative)}
.few .positive,.few .negative{stroke-width:6.5}.some .positive,.some .negative{stroke-width:4.5}
.many .positive,.many .negative{stroke-width:3;opacity:.85}
.ranges .positive,.ranges .negative{stroke-width:2.2;opacity:.6}
.wide .few .positive{stroke-width:5}
.middle{stroke:var(--accent);stroke-width:4.5}
.few .halo{stroke-width:15}.some .halo{stroke-width:12}.many .halo{stroke-width:9}
.halo.warning{stroke:var(--halo-w)}.halo.error{stroke:var(--halo-e)}
.rail{stroke-width:2}
.rail.note{stroke:var(--note);opacity:.7}.rail.warning{stroke:var(--warning)}.rail.error{stroke:var(--error)}
.card figure .frame{height:150px}
footer{color:var(--soft);font-size:.86rem;padding-top:34px;padding-bottom:60px}
footer dt{font-weight:600;color:var(--ink);margin-top:.7em}footer dd{margin:0;max-width:80ch}
@media (max-width:760px){main,header,footer{padding-left:14px;padding-right:14px}header{padding-top:26px}
.two{grid-template-columns:minmax(0,1fr)}th,td{padding:7px 9px}.y{flex-basis:56px}.x{margin-left:56px}.inside{padding:0 10px 14px}
.cards{grid-template-columns:repeat(2,minmax(0,1fr));gap:9px}.card{padding:12px 13px}.big{font-size:1.45rem;white-space:normal}
.big small{font-size:.9rem}
table.norms,table.norms tbody{display:block}
table.norms thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table.norms tr{display:flex;flex-wrap:wrap;gap:1px 12px;align-items:baseline;padding:9px 12px;
border-bottom:1px solid var(--line)}
table.norms td,table.norms tbody th{display:block;border:0;padding:0;text-align:left;white-space:normal}
table.norms td:empty{display:none}
table.norms td:first-child{flex:0 0 2.2ch;color:var(--soft);font-size:.8rem}
table.norms tbody th{flex:1 1 40%}
table.norms td.why-cell{flex:1 1 100%}
table.norms td[data-label]{font-size:.83rem}
table.norms td[data-label]::before{content:attr(data-label) "  ";color:var(--soft)}
table.norms td .name,table.norms th .name{display:inline;max-width:none}}
@media print{body{background:#fff}.filter{display:none}details{break-inside:avoid}}
)css";

inline constexpr std::string_view kReportScript = R"js(
(() => {
  const table = document.querySelector('table.norms');
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === 'DETAILS') { target.open = true; target.scrollIntoView(); }
  };
  addEventListener('hashchange', open);
  document.addEventListener('click', e => {
    if (e.target.closest && e.target.closest('table.norms a')) setTimeout(open);
  });
  open();
  if (!table) return;
  const body = table.tBodies[0], rows = [...body.rows];
  table.querySelectorAll('th[data-sort]').forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      table.querySelectorAll('th[aria-sort]').forEach(h => h.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const numeric = head.dataset.sort === 'number';
      const key = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
      const order = (a, b) => numeric ? key(a) - key(b) : key(a).localeCompare(key(b), undefined, {numeric: true});
      rows.sort((a, b) => down ? order(b, a) : order(a, b)).forEach(r => body.append(r));
    };
  });
  const filter = document.querySelector('.filter');
  if (!filter) return;
  filter.hidden = false;
  const input = filter.querySelector('input');
  input.oninput = () => {
    const words = input.value.toLowerCase();
    const keep = element => { element.hidden = !element.textContent.toLowerCase().includes(words); };
    rows.forEach(keep);
    document.querySelectorAll('details.norm').forEach(d => {
      d.hidden = !d.querySelector('summary').textContent.toLowerCase().includes(words);
    });
  };
})();
)js";

}  // namespace plica
