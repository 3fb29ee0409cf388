
async function inflatePlotly() {
  const text = document.getElementById("plotly").textContent;
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}
const options = {
  responsive: true,
  displaylogo: false,
  modeBarButtons: [["toImage", "resetScale2d"]],  // more would cover titles on a narrow screen
};
function draw() {
  for (const place of document.querySelectorAll(".figure:not(.js-plotly-plot)")) {
    if (place.closest("details:not([open])")) continue;  // it has no width yet
    const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
    Plotly.newPlot(place, data, layout, options);
  }
}
function fit(size) {
  for (const place of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(place, size);
}
if (typeof DecompressionStream === "undefined") {
  document.getElementById("note").hidden = false;
} else {
  inflatePlotly().then(draw).then(() => document.addEventListener("toggle", draw, true));
  addEventListener("beforeprint", () => fit({ width: 680 }));  // A4 less its margins
  addEventListener("afterprint", () => fit({ width: null, autosize: true }));
}
