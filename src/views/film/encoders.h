#pragma once

#include <memory>
#include <string>
#include <vector>

#include "views/film/film_file.h"

namespace steplapse {

// The encoders behind film_encoder().

std::unique_ptr<FilmEncoder> apng_encoder(const FilmFile& file, const FilmFacts& facts);
std::unique_ptr<FilmEncoder> webp_encoder(const FilmFile& file, const FilmFacts& facts);
std::unique_ptr<FilmEncoder> gif_encoder(const FilmFile& file, const FilmFacts& facts);

/// @param arguments  of ffmpeg, for its output: filters, codec, format
std::unique_ptr<FilmEncoder> video_encoder(const FilmFile& file, const FilmFacts& facts,
                                           const std::vector<std::string>& arguments);

}  // namespace steplapse
