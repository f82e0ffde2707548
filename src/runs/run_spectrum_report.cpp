#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/number_text.h"
#include "base/text.h"
#include "runs/run_spectrum.h"
#include "views/explanation.h"
#include "views/pace.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

constexpr int kStepWidth = 4, kSigmaWidth = 10, kBandWidth = 8;
constexpr size_t kMostLines = 6;  // of a plot that shows some steps
constexpr double kGrown = 0.9;    // of a band's rms at the end

// ---- for people

std::string sigma_text(const NoiseLevel& level) { return rounded_text(noise_ratio(level), 3); }

void put_bands(std::ostringstream& out, const StepSpectrum* spectrum) {
  for (size_t i = 0; i < kFrequencyBands.size(); ++i)
    out << std::setw(kBandWidth) << (spectrum ? rounded_text(spectrum->bands[i], 3) : "-");
}

/// x0 and xt of one step stand side by side.
std::string table(const RunSpectrum& spectrum) {
  std::map<int64_t, std::pair<const StepSpectrum*, const StepSpectrum*>> rows;
  for (const StepSpectrum& each : spectrum.x0) rows[each.step].first = &each;
  for (const StepSpectrum& each : spectrum.xt) rows[each.step].second = &each;
  std::ostringstream out;
  const int bands = kBandWidth * static_cast<int>(kFrequencyBands.size());
  out << std::setw(kStepWidth + kSigmaWidth) << "" << std::setw(bands) << "x0, rms by band" << std::setw(bands)
      << "xt, rms by band" << '\n';
  out << std::setw(kStepWidth) << "step" << std::setw(kSigmaWidth) << "sigma";
  for (int i = 0; i < 2; ++i) {
    for (const char* name : {"colours", "coarse", "middle", "details"}) out << std::setw(kBandWidth) << name;
  }
  out << '\n';
  for (const auto& [step, both] : rows) {
    const auto& [x0, xt] = both;
    out << std::setw(kStepWidth) << step << std::setw(kSigmaWidth) << sigma_text((x0 ? x0 : xt)->level);
    put_bands(out, x0);
    put_bands(out, xt);
    out << '\n';
  }
  return out.str();
}

/// From which step on x0 has most of what it has at its end, band by band.
std::string growth(const RunSpectrum& spectrum) {
  std::vector<std::string> parts;
  for (size_t band = 0; band < kFrequencyBands.size(); ++band) {
    const double end = spectrum.x0.back().bands[band];
    const auto step = holds_from(std::ssize(spectrum.x0), [&](int64_t each) {
      return spectrum.x0[static_cast<size_t>(each - 1)].bands[band] >= kGrown * end;
    });
    if (end > 0)
      parts.push_back(std::string(kFrequencyBands[band].name) + " from step " + std::to_string(*step) + " on");
  }
  return "x0 has " + plain(100 * kGrown) + " % or more of its last step's rms: " + joined(parts, ", ") + ".";
}

// ---- for programs

void put_csv(std::ostringstream& out, const StepSpectrum& spectrum) {
  for (const SpectrumRing& ring : spectrum.rings) {
    out << spectrum.step << ',' << exact_text(spectrum.level.timestep) << ',' << exact_text(spectrum.level.alpha) << ','
        << exact_text(spectrum.level.sigma) << ',' << name_of(spectrum.kind) << ',' << ring.frequency << ','
        << exact_text(ring.power) << ',' << ring.waves << '\n';
  }
}

ordered_json json_of(const StepSpectrum& spectrum) {
  ordered_json bands = ordered_json::object(), rings = ordered_json::array();
  for (size_t i = 0; i < kFrequencyBands.size(); ++i) bands[kFrequencyBands[i].name] = spectrum.bands[i];
  for (const SpectrumRing& ring : spectrum.rings)
    rings.push_back({{"frequency", ring.frequency}, {"power", ring.power}, {"waves", ring.waves}});
  const auto& timestep = spectrum.level.timestep;
  return {{"step", spectrum.step},
          {"timestep", timestep ? ordered_json(*timestep) : ordered_json()},
          {"alpha", spectrum.level.alpha},
          {"sigma", spectrum.level.sigma},
          {"rms", bands},
          {"spectrum", rings}};
}

ordered_json json_of(const std::vector<StepSpectrum>& spectra) {
  ordered_json list = ordered_json::array();
  for (const StepSpectrum& each : spectra) list.push_back(json_of(each));
  return list;
}

// ---- plots

Plot::Series line_of(const StepSpectrum& spectrum) {
  Plot::Series line{
      .name = "step " + std::to_string(spectrum.step) + ", sigma " + sigma_text(spectrum.level), .x = {}, .y = {}};
  for (const SpectrumRing& ring : spectrum.rings) {
    if (ring.frequency > spectrum.finest) break;  // a few waves in the corners, which would stretch the axes
    line.x.push_back(static_cast<double>(ring.frequency));
    line.y.push_back(ring.power);
  }
  return line;
}

Plot plot_of(const RunSpectrum& run, const std::vector<StepSpectrum>& spectra, bool all) {
  Plot plot{.title = std::string(name_of(spectra.front().kind)) + " of " + in_quotes(run.title, 40) + ", on " +
                     run.measured_on,
            .x = {.label = "frequency: cycles across the longer side", .log = true},
            .y = {.label = "power", .log = true},
            .series = {}};
  std::vector<double> places;
  for (const StepSpectrum& each : spectra) places.push_back(static_cast<double>(each.step));
  for (const size_t i : spread_evenly(places, all ? places.size() : kMostLines))
    plot.series.push_back(line_of(spectra[i]));
  return plot;
}

/// The same, each line divided by the last: so one sees what is there and what is not yet.
Plot share_plot(Plot plot) {
  plot.title = "The same, divided by the last of these steps";
  plot.y = {.label = "share of power", .log = true};
  const std::vector<double> last = plot.series.back().y;
  for (Plot::Series& line : plot.series) {
    for (size_t i = 0; i < last.size(); ++i) line.y[i] /= last[i];
  }
  return plot;
}

}  // namespace

std::string spectrum_table(const RunSpectrum& spectrum, size_t columns) {
  const auto say = [&](const std::string& text) { return wrapped(text, columns) + "\n"; };
  std::string text =
      say("How much of " + in_quotes(spectrum.title, 40) +
          " is coarse form and how much detail, step by step. Measured on " + spectrum.measured_on + ".") +
      "\n" + table(spectrum) + "\n";
  if (std::ssize(spectrum.x0) == spectrum.last_step) text += say(growth(spectrum));
  return text +
         say("rms by band: the root mean square of the waves of these frequencies. colours: the mean, frequency 0; "
             "coarse: up to 1/4 of the finest that rows and columns can have; middle: up to 1/2; details: above. "
             "Their squares add up to the mean square of all. sigma: sigma / alpha as the step begins; xt is the "
             "latents as it ends.");
}

std::string spectrum_csv(const RunSpectrum& spectrum) {
  std::ostringstream out;
  out << "step,timestep,alpha,sigma,kind,frequency,power,waves\n";
  for (const auto* spectra : {&spectrum.x0, &spectrum.xt}) {
    for (const StepSpectrum& each : *spectra) put_csv(out, each);
  }
  return out.str();
}

std::string spectrum_json(const RunSpectrum& spectrum) {
  const ordered_json json{{"prompt", spectrum.title},
                          {"measured_on", spectrum.measured_on},
                          {"x0", json_of(spectrum.x0)},
                          {"xt", json_of(spectrum.xt)}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::vector<Plot> spectrum_plots(const RunSpectrum& spectrum, bool all) {
  std::vector<Plot> plots;
  if (!spectrum.x0.empty()) plots.push_back(plot_of(spectrum, spectrum.x0, all));
  if (spectrum.x0.size() > 1) plots.push_back(share_plot(plots.back()));
  if (!spectrum.xt.empty()) plots.push_back(plot_of(spectrum, spectrum.xt, all));
  return plots;
}

}  // namespace steplapse
