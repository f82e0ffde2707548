#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace steplapse {

// The program's own sandbox. The command line plans it, whatever will read or write beside a bundle adds its paths, and the
// first bundle that is loaded closes it for good. A program that links the library plans none, and stays as it is.
// All but end_confinement is for the main thread, while no other computes.

/// @param warn  is told where the kernel lacks what is needed
void plan_confinement(std::function<void(const std::string&)> warn);

bool is_confinement_planned();
bool is_confined();

/// Paths that stay usable. Nothing happens where no sandbox is planned, or it stands.
void confinement_reads(const std::filesystem::path& path);
void confinement_writes(
    const std::filesystem::path& folder);  ///< made where it is missing, and gone again if it stays empty
void confinement_made(const std::filesystem::path& folder);  ///< before the walls: gone at the end if it is empty then
void confinement_writes_file(const std::filesystem::path& file);  ///< by PartFile alone, once
void confinement_starts(const std::filesystem::path& program);

/// Gives up all rights but those above and on the bundle; nothing where no sandbox is planned, or it stands. No thread but
/// the calling one exists meanwhile: OpenMP's end, and that of watch_signals begins again behind the walls.
/// @param cache  a folder of this bundle's own, to write; made where that can be, else left out. Empty: none
/// @throws OutputError  a folder that is to be written can't be made
void confine(const std::filesystem::path& bundle, const std::filesystem::path& cache = {});

/// For work that starts threads: done at once where no sandbox is planned, or it stands; else as soon as it stands.
void after_confinement(std::function<void()> work);

/// What stands: "landlock ABI 7, seccomp"; "none" where the kernel has neither; "off" where no sandbox is planned, or none
/// stands yet.
std::string confinement_text();

/// PATH.part of a file that is written from behind the walls: it is there already. None: it is written as any other.
std::optional<std::filesystem::path> confined_part(const std::filesystem::path& file);

/// Gives such a file its name. @return 0, or the error
int finish_confined(const std::filesystem::path& file);

/// The folder for temporary files: this process's own where a sandbox is planned.
std::filesystem::path folder_for_temporary_files();

/// Takes away what the program leaves. Called at its end by itself; before _exit by who calls that. Thread-safe.
void end_confinement() noexcept;

}  // namespace steplapse
